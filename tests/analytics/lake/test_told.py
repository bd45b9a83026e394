from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analytics.journal.writer import Writer
from analytics.lake.shipper import Shipper, wall_clock
from analytics.lake.told import families
from analytics.record import Opened, Record
from analytics.telemetry.observer import Observer


@pytest.fixture
def observer(state: Path) -> Iterator[Observer]:
    made = Observer(state, wall_clock, lambda *_: None)
    yield made
    made.close()


@pytest.fixture
def observed(state: Path, observer: Observer) -> Iterator[Shipper]:
    made = Shipper(state / "journal", state / "lake", observer=observer)
    observer.ask_shipper = lambda: families(made)
    yield made
    made.close()


def told(observer: Observer) -> dict[str, float]:
    lines = (line for line in observer.page().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_a_shipper_that_pushes_nothing_loads_nothing_of_opentelemetry() -> None:
    program = "import sys, analytics.lake.__main__; print(sorted({'opentelemetry', 'requests'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_what_was_shipped_is_counted_and_waits_no_longer(
    state: Path, observer: Observer, observed: Shipper, closed: Callable[[int], Record]
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for seq in range(1, 4):
        writer.append(closed(seq))
    assert told(observer)["turnout_shipper_waiting_bytes"] > 0

    observed.tick()
    shipped = told(observer)
    writer.close()

    assert shipped['turnout_shipper_rows_total{dataset="records"}'] == 3
    assert shipped["turnout_shipper_waiting_bytes"] == 0
    assert shipped["turnout_lake_away"] == 0
    assert shipped['turnout_shipper_trouble_total{kind="failures"}'] == 0
    assert shipped['turnout_heartbeat_timestamp_seconds{worker="w0"}'] > 1_700_000_000


def test_requests_that_never_closed_count_as_interrupted(
    state: Path, observer: Observer, observed: Shipper, opened: Callable[[int], Opened]
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(opened(1))
    writer.close()
    observed.tick()
    observed.tick()

    name = 'turnout_requests_total{rollout="",arm="",model="",purpose="live",outcome="interrupted",reason=""}'
    assert told(observer)[name] == 1


def test_all_that_a_shipper_removes_was_counted_before(
    state: Path, observer: Observer, observed: Shipper, closed: Callable[[int], Record]
) -> None:
    seq = 0
    for number in range(5):
        writer = Writer(state / "journal", "w0", f"b{number}")
        for _ in range(number):
            writer.append(closed(seq := seq + 1))
        writer.close()
        observed.tick()

    assert not list((state / "journal").glob("*.segment"))
    name = 'turnout_requests_total{rollout="",arm="",model="",purpose="live",outcome="ok",reason=""}'
    assert told(observer)[name] == seq == 10
