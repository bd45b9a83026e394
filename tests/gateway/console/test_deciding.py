from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from analytics.evidence import FailingUsers
from gateway.console.measuring import UNKNOWN
from gateway.settings.plan_schema import FreezeDefinition
from rollout.schedule import parse_moment
from tests.fakes.console import SALES
from tests.fakes.evidence import EQUAL, SOUND, evidence, sums
from tests.fakes.measured import SHORT, Clocks, Measured, Stage, planned, staged

FAILING = evidence(errors=sums(1000, 20, 6.0, base_events=0.4))
UNSURE = evidence(errors=sums(120, 10, 0.5, base_events=0.4))
BROKEN = replace(EQUAL, quality=replace(SOUND, crossed_rows=5_000))
OUTAGE = (FailingUsers(kind="failure", base=0, candidate=9, hour_base=0, hour_candidate=9),)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as made:
        yield made


def test_equal_arms_are_promoted_by_the_looks_and_by_approval_between_phases(stage: Stage):
    stage.tell("start")
    stage.pulses(25)
    assert (stage.held.flag.percent, stage.actions()) == (10.0, ["start", "advance"])

    stage.pulses(25)
    assert (stage.progress.standing, stage.progress.awaits, stage.held.flag.percent) == ("awaiting", "approval", 10.0)

    stage.tell("advance")
    stage.pulses(25)
    assert (stage.held.flag.percent, stage.progress.standing) == (50.0, "awaiting")
    stage.tell("advance")
    assert (stage.held.flag.percent, stage.progress.standing) == (98.0, "at_ga")
    assert stage.actions() == ["start", "advance", "await", "approve", "await", "approve"]
    assert stage.ledger.verify() is None


def test_every_move_stands_in_the_audit_with_its_evidence_and_the_digest_of_its_step(stage: Stage):
    stage.tell("start")
    digest = stage.progress.digest
    stage.pulses(25)

    entry = stage.ledger.entries(rollout=SALES)[0]
    assert (entry.action, entry.actor) == ("advance", "turnout")
    assert entry.after["evidence"]["digest"] == digest == entry.before["digest"]
    assert (entry.after["evidence"]["verdict"], entry.after["evidence"]["look"]) == ("pass", 1)
    assert entry.after["digest"] == stage.progress.digest != digest


def test_a_regression_is_rolled_back_long_before_the_look(stage: Stage):
    stage.tell("start")
    stage.pulses(5)
    stage.measured.evidence = FAILING
    stage.pulses(5)

    assert (stage.held.flag.percent, stage.progress.standing) == (0.0, "rolled_back")
    assert stage.progress.running_s < 10
    report = stage.progress.report
    assert report is not None
    assert (report.verdict, report.is_fast_kill) == ("fail", False)


def test_a_total_outage_is_ended_by_fast_kill_between_two_whole_ticks(tmp_path: Path):
    steps = (replace(SHORT.steps[0], dwell="7d"), *SHORT.steps[1:])
    with staged(tmp_path, planned(replace(SHORT, steps=steps))) as stage:
        stage.tell("start")
        stage.pulses(10)
        looked = len(stage.measured.windows)
        stage.measured.users = OUTAGE
        stage.pulses(5)

        assert len(stage.measured.windows) == looked == 1
        assert stage.held.flag.percent == 0.0
        assert stage.progress.report is not None
        assert stage.progress.report.is_fast_kill
        assert stage.measured.folds == 3


@pytest.mark.parametrize("where", ["pause", "freeze"])
def test_a_failure_rolls_back_also_in_a_pause_and_in_a_freeze_window(tmp_path: Path, where: str):
    freeze = (FreezeDefinition(start="2027-01-15T08:00:10Z", end="2027-01-16T08:00:00Z"),) if where == "freeze" else ()
    with staged(tmp_path, planned(replace(SHORT, freeze=freeze))) as stage:
        stage.tell("start")
        if where == "pause":
            stage.tell("pause")
        stage.pulses(20)
        stage.measured.evidence = FAILING
        stage.pulses(5)

        assert stage.progress.standing == "rolled_back"


def test_lost_evidence_holds_and_never_passes_and_the_look_waits_for_it(stage: Stage):
    stage.tell("start")
    stage.pulses(10)
    stage.measured.lost = "the lake s3://lake cannot be reached"
    stage.pulses(60)

    assert (stage.progress.standing, stage.progress.verdict, stage.held.flag.percent) == ("running", "hold", 5.0)
    assert stage.progress.report is not None
    assert "the lake s3://lake cannot be reached" in stage.progress.report.summary
    assert stage.progress.running_s == 10.0

    stage.measured.lost = None
    stage.pulses(20)
    assert stage.held.flag.percent == 10.0


def test_evidence_that_fails_as_nobody_foresaw_holds_and_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture):
    stage.tell("start")
    stage.measured.failure = KeyError("column")
    stage.pulses(5)

    assert stage.progress.verdict == "hold"
    assert "evidence could not be read" in caplog.text
    stage.measured.failure = None
    stage.measured.evidence = replace(EQUAL, quality=None)  # pyright: ignore[reportArgumentType] - that is it
    stage.pulses(5)
    assert stage.progress.verdict == "hold"


def test_a_broken_split_holds_until_a_person_restarts_the_step(stage: Stage):
    stage.tell("start")
    stage.measured.evidence = BROKEN
    stage.pulses(5)
    stage.measured.evidence = EQUAL
    stage.pulses(60)
    assert (stage.progress.verdict, stage.held.flag.percent) == ("hold", 5.0)

    stage.tell("restart", "the split is mended")
    stage.pulses(30)
    assert stage.held.flag.percent == 10.0


def test_too_thin_evidence_is_collecting_then_inconclusive_and_never_promoted(stage: Stage):
    stage.measured.evidence = UNSURE
    stage.tell("start")
    stage.pulses(25)
    assert stage.held.flag.percent == 10.0
    stage.pulses(40)
    assert (stage.progress.standing, stage.progress.verdict) == ("running", "collecting")
    stage.pulses(10)
    assert (stage.progress.standing, stage.held.flag.percent) == ("inconclusive", 10.0)
    stage.pulses(60)
    assert (stage.progress.standing, stage.held.flag.percent) == ("inconclusive", 10.0)
    stage.measured.evidence = FAILING
    stage.pulses(5)
    assert stage.progress.standing == "rolled_back"


def test_a_pass_in_a_freeze_window_is_promoted_when_it_is_over(tmp_path: Path):
    freeze = (FreezeDefinition(start="2027-01-15T08:00:15Z", end="2027-01-15T08:01:00Z"),)
    with staged(tmp_path, planned(replace(SHORT, freeze=freeze))) as stage:
        stage.tell("start")
        stage.pulses(50)
        assert (stage.progress.standing, stage.progress.awaits, stage.held.flag.percent) == ("awaiting", "thaw", 5.0)

        stage.pulses(15)
        assert stage.actions() == ["start", "await", "advance"]


def test_a_scheduled_start_begins_by_itself(stage: Stage):
    stage.control.steering.tell(SALES, "start", 1, actor="ann", start_at="2027-01-15T08:05:00Z")
    stage.clocks.wall_us = parse_moment("2027-01-15T08:04:59Z")
    stage.deciding.pulse()
    assert stage.held.flag.percent == 0.0

    stage.clocks.wall_us += 2_000_000
    stage.deciding.pulse()
    assert (stage.held.flag.percent, stage.actions()) == (5.0, ["schedule", "start"])


def test_a_window_at_ga_is_followed_by_the_next(stage: Stage):
    stage.measured.evidence = EQUAL
    stage.tell("start")
    for _ in range(3):
        stage.tell("advance", "on with it")
    stage.pulses(30)

    assert (stage.progress.standing, stage.held.flag.step) == ("at_ga", 5)
    assert stage.actions()[-1] == "restart"


def test_a_percent_set_by_hand_is_watched_and_never_promoted(stage: Stage):
    stage.tell("start")
    stage.control.set_percent(SALES, "7", stage.held.flag.version, actor="ann")
    stage.pulses(60)
    assert (stage.progress.standing, stage.held.flag.percent) == ("by_hand", 7.0)
    assert stage.measured.windows[-1].percent == 7.0

    stage.measured.evidence = FAILING
    stage.pulses(5)
    assert stage.progress.standing == "rolled_back"


def test_a_gate_that_was_edited_in_mid_step_changes_nothing_before_the_next(stage: Stage):
    stage.tell("start")
    digest = stage.progress.digest
    steps = (replace(SHORT.steps[0], dwell="7d"), *SHORT.steps[1:])
    stage.control.reload_definitions(planned(replace(SHORT, steps=steps)))
    stage.pulses(10)
    assert stage.progress.digest == digest

    stage.pulses(15)
    assert stage.held.flag.percent == 10.0


def test_a_step_takes_its_own_references_once_and_keeps_them(stage: Stage):
    stage.measured.week = UNKNOWN
    stage.tell("start")
    stage.measured.own = {"p50": 800.0, "p99": 4000.0}
    stage.pulses(5)
    stage.measured.own = {"p50": 1.0, "p99": 1.0, "ttft": 90.0}
    stage.pulses(5)

    assert stage.progress.references == {"p50": 800.0, "p99": 4000.0, "ttft": 90.0}
    assert stage.measured.windows[-1].thresholds["p50"][0] == 800.0


@pytest.mark.parametrize("jump_us", [172_800_000_000, -172_800_000_000])
def test_a_clock_that_jumps_by_two_days_neither_skips_nor_repeats_a_look(stage: Stage, jump_us: int):
    stage.tell("start")
    stage.pulses(10)
    stage.clocks.wall_us += jump_us
    stage.pulses(10)
    assert (stage.held.flag.percent, stage.progress.running_s) == (5.0, 15.0)
    stage.clocks.wall_us -= jump_us
    stage.pulses(5)

    assert stage.actions() == ["start", "advance"]


def test_a_console_that_stood_still_for_two_days_saw_nothing_of_them(stage: Stage):
    stage.tell("start")
    stage.pulses(10)
    stage.clocks.pass_s(172_800)
    stage.deciding.pulse()

    assert stage.progress.running_s == 10.0
    assert stage.held.flag.percent == 5.0


def test_what_a_person_did_meanwhile_is_not_overruled(stage: Stage):
    stage.tell("start")
    stage.pulses(5)
    stage.measured.evidence = FAILING
    look = stage.measured.look

    def pausing(window):
        stage.tell("pause")
        stage.measured.look = look
        return look(window)

    stage.measured.look = pausing
    stage.pulses(5)
    assert (stage.progress.standing, stage.actions()) == ("paused", ["start", "pause"])

    stage.pulses(5)
    assert stage.progress.standing == "rolled_back"


def test_a_ledger_that_cannot_be_written_is_tried_again_until_the_rollback_is_made(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    stage.tell("start")
    stage.pulses(5)
    stage.measured.evidence = FAILING
    blocker = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    stage.pulses(5)
    assert "it is tried again" in caplog.text
    assert stage.held.flag.percent == 5.0

    blocker.execute("ROLLBACK")
    blocker.close()
    stage.pulses(5)
    assert (stage.held.flag.percent, stage.actions()) == (0.0, ["start", "roll_back"])


def test_a_hold_that_lasts_is_told_under_one_name(stage: Stage):
    stage.tell("start")
    stage.measured.lost = "the lake is away"
    stage.pulses(90)

    assert {notice.what for notice in stage.heard.notices} == {"hold_for_24_h"}
    assert len({notice.identity for notice in stage.heard.notices}) == 1
    first = stage.heard.notices[0]
    assert "the lake is away" in first.words
    assert f"{SALES}: on hold for 1 min, since " in first.words
    assert first.phase == "canary"


def test_the_reports_of_looks_and_changes_of_mind_are_kept(stage: Stage):
    stage.tell("start")
    stage.pulses(5)
    stage.measured.lost = "the lake is away"
    stage.pulses(5)
    stage.measured.lost = None
    stage.pulses(30)

    kept = stage.ledger.reports(SALES, limit=50)
    assert [(one.verdict, one.look) for one in reversed(kept[:-1])] == [
        ("collecting", 0),
        ("hold", 0),
        ("collecting", 0),
        ("pass", 1),
        ("collecting", 0),
    ]


def test_nothing_is_measured_as_long_as_nothing_runs(stage: Stage):
    stage.pulses(20)
    stage.tell("start")
    stage.pulses(5)
    stage.tell("rollback")
    folds = stage.measured.folds
    stage.pulses(20)

    assert stage.measured.folds == folds <= 2


def test_a_rollout_that_left_the_configuration_is_let_alone(tmp_path: Path):
    with staged(tmp_path) as stage:
        stage.tell("start")
        only_other = planned()
        stage.control.reload_definitions(replace(only_other, rollouts={}))
        stage.measured.evidence = FAILING
        stage.pulses(10)

        assert stage.progress.standing == "running"


@pytest.mark.parametrize("lived", [5, 10, 15, 25])
def test_a_console_that_dies_and_comes_back_decides_the_same_and_nothing_twice(tmp_path: Path, lived: int):
    clocks, measured = Clocks(), Measured()
    with staged(tmp_path, measured=measured, clocks=clocks) as stage:
        stage.tell("start")
    for _ in range(100 // lived):
        clocks.pass_s(3)
        clocks.monotonic_s -= 500  # another process's clock has nothing to do with this one's
        with staged(tmp_path, measured=measured, clocks=clocks) as stage:
            stage.deciding.pulse()
            stage.pulses(lived)

    with staged(tmp_path, measured=measured, clocks=clocks) as stage:
        actions = stage.actions()
        assert actions == ["start", "advance", "await"][: len(actions)]
        assert len(actions) == 3
        assert stage.ledger.verify() is None
