from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from analytics.journal.writer import Writer
from analytics.record import Opened, Record
from analytics.telemetry.known import tell_models
from analytics.telemetry.names import INSTRUMENTS
from analytics.telemetry.observer import Observer
from tests.analytics.telemetry.conftest import STARTED_AT

Settled = Callable[..., Record]
OK = 'turnout_requests_total{rollout="sales",arm="candidate",model="tuned",purpose="live",outcome="ok",reason="split"}'


class Host:
    """A state directory with a writer, observed; `said` is what was logged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.now = STARTED_AT + 11_000_000
        tell_models(self._run(), "w0", ["tuned"])
        self.writer = Writer(folder / "journal", "w0", "b1")
        self.observer = self.observe()

    def _run(self) -> Path:
        (self.folder / "run").mkdir(exist_ok=True)
        return self.folder / "run"

    def observe(self) -> Observer:
        return Observer(self.folder, lambda: self.now, lambda _, event, __: self.said.append(event))

    def told(self) -> dict[str, float]:
        lines = (line for line in self.observer.page().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.observer.close()
    made.writer.close()


def test_a_scrape_counts_what_was_recorded_a_moment_before(host: Host, settled: Settled) -> None:
    host.writer.append(settled(1))
    assert host.told()[OK] == 1
    host.writer.append(settled(2))

    assert host.told()[OK] == 2
    assert host.told()[OK] == 2


def test_every_measure_has_its_type_on_every_page(host: Host) -> None:
    typed = [line.split()[2] for line in host.observer.page().splitlines() if line.startswith("# TYPE")]
    shippers = {"turnout_lake_away", "turnout_shipper_rows_total", "turnout_shipper_trouble_total"}
    shippers |= {"turnout_heartbeat_timestamp_seconds", "turnout_telemetry_pushed_total"}

    assert len(typed) == len(set(typed))
    assert set(typed) == {instrument.name for instrument in INSTRUMENTS} - shippers


def test_an_observer_that_begins_again_counts_nothing_twice(host: Host, settled: Settled) -> None:
    host.writer.append(settled(1))
    host.told()
    host.observer.close()
    host.observer = host.observe()
    host.writer.append(settled(2))

    assert host.told()[OK] == 1


def test_what_waits_for_the_lake_has_bytes_and_an_age(host: Host, settled: Settled) -> None:
    host.writer.append(settled(1))
    host.observer.look()
    waiting = host.told()
    assert waiting["turnout_shipper_waiting_bytes"] > 100
    assert waiting["turnout_shipper_oldest_waiting_seconds"] == 10

    host.observer.sealed(("w0", "b1"), dict.fromkeys(range(10), 1 << 30))
    over = host.told()
    assert (over["turnout_shipper_waiting_bytes"], over["turnout_shipper_oldest_waiting_seconds"]) == (0, 0)


def test_a_request_that_was_opened_waits_from_its_start(host: Host) -> None:
    host.writer.append(Opened(request_id="0199b0c0-0000-7000-8000-000000000001", seq=1, started_at=STARTED_AT))

    assert host.told()["turnout_shipper_oldest_waiting_seconds"] == 11


def test_an_interrupted_request_counts(host: Host, settled: Settled) -> None:
    host.observer.look()
    host.observer.interrupted([settled(outcome="interrupted")])

    assert host.told()[OK.replace('"ok"', '"interrupted"')] == 1


def test_a_failure_of_measuring_is_logged_once_counted_and_goes_no_further(host: Host) -> None:
    for _ in range(2):
        host.observer.interrupted(cast("Any", [None]))

    assert host.told()['turnout_telemetry_trouble_total{kind="measuring"}'] == 2
    assert host.said == ["measuring_failed"]
