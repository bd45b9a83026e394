from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from analytics.quantile import GRID
from gateway.console.measuring import UNKNOWN, EvidenceLostError
from tests.fakes.console import SALES
from tests.fakes.evidence import arm
from tests.fakes.measured import Measured, Stage, staged

BEYOND = {factor: arm(1000, 20, 20 * 0.5 * factor**-2).x for factor in GRID}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, measured=Measured(beyond=BEYOND)) as made:
        made.tell("start")
        yield made


def words(stage: Stage, check: str = "p50") -> str:
    report = stage.control.steering.gate(SALES, is_asked=True).report
    assert report is not None
    return next(one.words for one in report.checks if one.check == check)


def test_whoever_asks_is_told_the_ratio_of_now_and_nothing_is_changed(stage: Stage):
    stage.pulses(10)
    before, asked = stage.progress, len(stage.measured.asked)

    assert asked == 0
    assert words(stage).startswith("p50 ratio 1.00 (95 % interval ")
    assert stage.progress == before
    assert stage.measured.asked == [stage.measured.windows[-1]]


def test_ticks_do_not_ask_raw_rows_and_looks_do(stage: Stage):
    stage.pulses(15)
    assert stage.measured.asked == []
    stage.pulses(10)

    [look] = [report for report in stage.ledger.reports(SALES, limit=50) if report.look]
    [p50] = [one for one in look.checks if one.check == "p50"]
    assert len(stage.measured.asked) == 1
    assert p50.words.startswith("p50: pass. Ratio 1.00, at most ")
    assert p50.figures["ratio_high"] is not None


@pytest.mark.slow
def test_rows_that_cannot_be_read_leave_the_ratio_of_two_points(stage: Stage):
    def away(window, caps):
        message = f"the lake of {window.rollout} is away, {len(caps)} checks wait"
        raise EvidenceLostError(message)

    stage.measured.slower = away
    stage.pulses(10)
    assert words(stage).startswith("p50 ratio below 1 (95 % interval ")
    stage.pulses(15)
    assert stage.held.flag.percent == 10.0


def test_where_nothing_can_be_measured_the_last_word_stands(stage: Stage):
    assert stage.control.steering.gate(SALES, is_asked=True).report is None
    stage.pulses(10)
    last = stage.progress.report
    stage.measured.lost = "the lake is away"
    assert stage.control.steering.gate(SALES, is_asked=True).report == last

    stage.measured.lost = None
    stage.tell("rollback")
    assert stage.control.steering.gate(SALES, is_asked=True).report == stage.progress.report


@pytest.mark.slow
def test_a_step_that_waits_for_its_references_is_not_looked_at_beside_the_controller(stage: Stage):
    stage.tell("rollback")
    stage.measured.week = UNKNOWN
    stage.tell("start")
    stage.pulses(10)
    looks = len(stage.measured.windows)
    stage.control.steering.gate(SALES, is_asked=True)

    assert len(stage.measured.windows) == looks
    assert replace(stage.progress, report=None).references == {}
