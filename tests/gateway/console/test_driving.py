from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import pytest
from litestar import Litestar
from msgspec.structs import replace

from gateway.console.driving import LATE_US, SILENT_S, Driving, Silence, Telling
from gateway.console.measuring import BrokenOffError
from rollout.change import State
from rollout.stores.ledger import LedgerReplacedError, LedgerUnwritableError
from tests.fakes.console import SALES
from tests.fakes.evidence import evidence, sums
from tests.fakes.measured import Clocks, Heard, Stage, staged
from tests.fakes.plans import held, started


def telling(stage: Stage) -> Telling:
    return Telling(stage.ledger, stage.heard, wall_us=lambda: stage.clocks.wall_us)


def driving(stage: Stage, *, may: bool = True) -> Driving:
    silence = Silence(stage.heard, monotonic_s=lambda: stage.clocks.monotonic_s, wall_us=lambda: stage.clocks.wall_us)
    return Driving(stage.deciding, telling(stage), silence, stage.ledger, may=lambda: may, pulse_s=0.01)


def test_what_was_written_is_told_once_and_again_after_a_restart(tmp_path: Path):
    with staged(tmp_path) as stage:
        first = telling(stage)
        first.look()
        stage.tell("start")
        first.look()
        first.look()
        stage.tell("pause")
        first.look()
        assert stage.heard.whats() == ["started", "paused"]

        telling(stage).look()
        assert stage.heard.whats() == ["started", "paused"] * 2
        assert len({notice.identity for notice in stage.heard.notices}) == 2


def test_what_is_long_past_at_a_start_is_not_told(tmp_path: Path):
    with staged(tmp_path) as stage:
        stage.tell("start")
        stage.clocks.wall_us += LATE_US + 1
        late = telling(stage)
        late.look()
        stage.tell("rollback")
        late.look()

        assert stage.heard.whats() == ["rolled_back"]


def seen(ticks: int) -> State:
    state = started()
    one = held(state)
    return replace(state, rollouts={SALES: replace(one, progress=replace(one.progress, ticks=ticks))})


def test_a_controller_that_falls_silent_is_missed_once_and_so_is_its_return():
    heard, clocks = Heard(), Clocks()
    silence = Silence(heard, monotonic_s=lambda: clocks.monotonic_s, wall_us=lambda: clocks.wall_us)
    for ticks in (1, 2):
        silence.look(seen(ticks))
        clocks.pass_s(SILENT_S - 1)
    silence.look(seen(2))
    assert heard.whats() == []

    clocks.pass_s(1)
    silence.look(seen(2))
    silence.look(seen(2))
    assert heard.whats() == ["controller_silent"]
    assert "has been silent for 5 min" in heard.notices[0].words
    silence.look(seen(3))
    assert heard.whats() == ["controller_silent", "controller_back"]


def test_a_controller_that_hangs_is_missed_by_its_sign_of_life_alone_and_one_rollout_by_its_ticks():
    heard, clocks = Heard(), Clocks()
    silence = Silence(heard, monotonic_s=lambda: clocks.monotonic_s, wall_us=lambda: clocks.wall_us)
    silence.look(seen(1))
    silence.beat()
    clocks.pass_s(SILENT_S + 60)
    silence.look(seen(1))
    assert heard.whats() == []

    silence.beat()
    silence.look(seen(1))
    assert heard.whats() == ["controller_silent"]


def test_nobody_is_missed_where_nothing_runs_and_a_moved_clock_is_no_silence():
    heard, clocks = Heard(), Clocks()
    silence = Silence(heard, monotonic_s=lambda: clocks.monotonic_s, wall_us=lambda: clocks.wall_us)
    silence.look(seen(1))
    clocks.wall_us += 172_800_000_000
    silence.look(seen(1))
    state = seen(1)
    retired = replace(state, rollouts={SALES: replace(held(state), retired=True)})
    clocks.pass_s(SILENT_S * 2)
    silence.look(retired)
    silence.look(State(epoch=1))

    assert heard.whats() == []


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for is in a file
            await asyncio.sleep(0.02)


@pytest.mark.anyio
async def test_beside_the_api_the_controller_decides_and_tells(tmp_path: Path):
    with staged(tmp_path) as stage:
        stage.measured.evidence = evidence(errors=sums(1000, 20, 6.0, base_events=0.4))
        stage.tell("start")
        async with driving(stage).running(Litestar([], logging_config=None)):
            await until(lambda: "rolled_back" in stage.heard.whats())

        assert stage.held.flag.percent == 0.0


@pytest.mark.anyio
async def test_a_console_that_may_not_decide_only_listens(tmp_path: Path):
    with staged(tmp_path) as stage:
        stage.tell("start")
        async with driving(stage, may=False).running(Litestar([], logging_config=None)):
            await asyncio.sleep(0.1)
            stage.clocks.pass_s(SILENT_S + 1)
            await until(lambda: "controller_silent" in stage.heard.whats())

        assert (stage.measured.folds, stage.progress.ticks) == (0, 0)


@pytest.mark.anyio
async def test_whatever_goes_wrong_the_controller_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    faults = [LedgerUnwritableError("the disk is full"), LedgerUnwritableError("the disk is full"), KeyError("x")]
    with staged(tmp_path) as stage, caplog.at_level(logging.ERROR):
        pulse = stage.deciding.pulse

        def faulty() -> None:
            if faults:
                raise faults.pop(0)
            pulse()

        stage.deciding.pulse = faulty
        stage.tell("start")
        async with driving(stage).running(Litestar([], logging_config=None)):
            await until(lambda: stage.progress.ticks)

    assert caplog.text.count("the controller cannot read the ledger") == 1
    assert "the controller failed; it goes on" in caplog.text


@pytest.mark.anyio
async def test_a_tick_under_way_ends_before_the_console_does(tmp_path: Path):
    begun, ended, go = threading.Event(), threading.Event(), threading.Event()
    with staged(tmp_path) as stage:

        def slow() -> None:
            begun.set()
            go.wait(20)
            ended.set()

        stage.deciding.pulse = slow
        async with driving(stage).running(Litestar([], logging_config=None)):
            await until(begun.is_set)
            asyncio.get_running_loop().call_later(0.2, go.set)

        assert ended.is_set()


@pytest.mark.anyio
async def test_a_tick_that_lasts_is_broken_off_and_nothing_comes_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    begun, broken_off = threading.Event(), threading.Event()
    with staged(tmp_path) as stage, caplog.at_level(logging.ERROR):
        stage.tell("start")
        before = stage.ledger.state()

        def endless() -> None:
            begun.set()
            assert broken_off.wait(20)
            raise BrokenOffError

        stage.measured.fold = endless
        driven = driving(stage)
        driven.break_off = broken_off.set
        async with driven.running(Litestar([], logging_config=None)):
            await until(begun.is_set)

        assert stage.ledger.state() == before
        assert not caplog.records


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError(), "the controller failed as it ended"),
        (LedgerReplacedError("it is another file"), "the controller could not read the ledger as it ended"),
    ],
)
async def test_what_fails_as_the_console_ends_is_said_and_of_a_ledger_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception, said: str
):
    begun, go = threading.Event(), threading.Event()
    with staged(tmp_path) as stage, caplog.at_level(logging.ERROR):

        def faulty() -> None:
            begun.set()
            go.wait(20)
            raise error

        stage.deciding.pulse = faulty
        async with driving(stage).running(Litestar([], logging_config=None)):
            await until(begun.is_set)
            asyncio.get_running_loop().call_later(0.2, go.set)

        assert said in caplog.text
        assert ("Traceback" in caplog.text) == isinstance(error, KeyError)


@pytest.mark.parametrize("may", [True, False])
def test_every_pulse_is_a_sign_of_life_also_where_another_console_decides(tmp_path: Path, *, may: bool):
    beats: list[int] = []
    with staged(tmp_path) as stage:
        driven = driving(stage, may=may)
        driven.beat = lambda: beats.append(1)
        driven.decide()
        driven.decide()

    assert beats == [1, 1]
