from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rollout.controller import MOVES, bounded, clocked, fast_tick_s, move, tick_s, ticked, without_evidence
from rollout.phase import Plan
from rollout.progress import WATCHED, Progress, Standing
from rollout.verdict import Verdict, Watch
from tests.fakes.plans import AT, AUTO_PLAN, SHORT_PLAN, held, said, standing, started, step_of

RUNNING = held(started()).progress
STEP = step_of(started())
VERDICTS: tuple[Verdict, ...] = ("fail", "hold", "pass", "collecting", "inconclusive")


def stands(where: Standing, verdict: Verdict | None = None, **changed: object) -> Progress:
    report = said(verdict) if verdict is not None else None
    return replace(held(standing(where)).progress, report=report, **changed)


def moved(progress: Progress, plan: Plan = SHORT_PLAN, *, at: int = AT, thaws_at: int | None = None) -> str:
    return move(progress, plan, at=at, thaws_at=thaws_at)


@pytest.mark.parametrize("where", sorted(WATCHED))
def test_a_failure_rolls_back_wherever_the_candidate_has_users_also_in_a_freeze_window(where: Standing):
    assert moved(stands(where, "fail"), thaws_at=AT + 1) == "roll_back"


@pytest.mark.parametrize("where", sorted(WATCHED))
@pytest.mark.parametrize("verdict", ["hold", "collecting"])
def test_hold_and_collecting_move_nothing(where: Standing, verdict: Verdict):
    assert moved(stands(where, verdict)) == "stay"


def test_a_pass_promotes_within_a_phase():
    assert moved(stands("running", "pass")) == "promote"


def test_a_pass_between_phases_waits_for_approval_unless_the_plan_says_otherwise():
    last_canary = replace(stands("running", "pass"), step=replace(STEP, row=SHORT_PLAN.rows[2], row_number=2))

    assert moved(last_canary) == "await_approval"
    assert moved(last_canary, AUTO_PLAN) == "promote"


def test_a_pass_in_a_freeze_window_waits_for_its_end():
    assert moved(stands("running", "pass"), thaws_at=AT + 1) == "await_thaw"


def test_what_waited_for_a_freeze_windows_end_is_promoted_then_unless_the_gate_holds():
    waiting = stands("awaiting", "collecting", awaits="thaw")

    assert moved(waiting, thaws_at=AT + 1) == "stay"
    assert moved(waiting) == "promote"
    assert moved(stands("awaiting", "hold", awaits="thaw")) == "stay"


def test_an_approval_edited_into_the_plan_meanwhile_is_asked_for_at_a_freeze_windows_end():
    waiting = stands("awaiting", "collecting", awaits="thaw", step=replace(STEP, row=SHORT_PLAN.rows[2]))

    assert moved(waiting) == "await_approval"


def test_what_waits_for_approval_is_never_promoted_by_itself():
    assert moved(stands("awaiting", "pass", awaits="approval")) == "stay"


def test_a_pass_at_the_plans_last_row_or_without_a_step_moves_nothing():
    assert moved(replace(stands("running", "pass"), step=replace(STEP, row=SHORT_PLAN.rows[-1]))) == "stay"
    assert moved(replace(stands("running", "pass"), step=None)) == "stay"


def test_an_inconclusive_row_asks_a_person_once():
    assert moved(stands("running", "inconclusive")) == "ask"
    assert moved(stands("inconclusive", "inconclusive")) == "stay"


@pytest.mark.parametrize("where", sorted(WATCHED - {"running"}))
def test_a_pass_promotes_nothing_but_what_runs(where: Standing):
    assert moved(stands(where, "pass")) == "stay"


def test_a_scheduled_start_begins_when_it_is_due_and_no_freeze_window_is_open():
    scheduled = Progress(standing="scheduled", start_at=AT)

    assert moved(scheduled, at=AT - 1) == "stay"
    assert moved(scheduled, thaws_at=AT + 1) == "stay"
    assert moved(scheduled) == "start"


def test_a_window_at_ga_is_renewed_when_it_is_over_and_nothing_holds():
    assert moved(stands("at_ga", "collecting", running_s=9.0)) == "stay"
    assert moved(stands("at_ga", "collecting", running_s=10.0)) == "renew"
    assert moved(stands("at_ga", "hold", running_s=10.0)) == "stay"


@pytest.mark.parametrize("where", ["idle", "rolled_back"])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_what_is_not_watched_is_never_moved(where: Standing, verdict: Verdict):
    assert moved(stands(where, verdict)) == "stay"
    assert (where, verdict) not in MOVES


def test_running_time_is_what_passed_between_ticks():
    counted = ticked(RUNNING, said("collecting"), Watch(looks=1), elapsed_s=1.5)

    assert (counted.running_s, counted.ticks, counted.watch.looks) == (1.5, 1, 1)
    assert counted.verdict == "collecting"


def test_a_hold_stops_the_clock_from_its_first_tick_and_is_counted_itself():
    first = ticked(RUNNING, said("hold"), Watch(), elapsed_s=1.0)
    second = ticked(first, said("hold"), Watch(), elapsed_s=3.0)
    third = ticked(second, said("collecting"), Watch(), elapsed_s=1.0)

    assert [one.running_s for one in (first, second, third)] == [1.0, 1.0, 1.0]
    assert [one.held_s for one in (first, second, third)] == [0.0, 3.0, 0.0]


@given(st.lists(st.floats(allow_nan=False), max_size=20))
def test_running_time_never_goes_back_and_no_single_tick_makes_it_jump(elapsed: list[float]):
    progress = RUNNING
    for seconds in elapsed:
        counted = clocked(progress, seconds)
        assert progress.running_s <= counted.running_s <= progress.running_s + 5.0
        progress = counted


def test_a_tick_of_a_long_step_counts_four_minutes_at_most():
    long = replace(RUNNING, step=replace(STEP, row=replace(STEP.row, dwell_s=7 * 86_400.0)))

    assert bounded(long, 172_800.0) == 240.0
    assert bounded(long, 60.0) == 60.0


@pytest.mark.parametrize(
    ("dwell_s", "whole_s", "fast_s"), [(172_800.0, 60.0, 2.5), (480.0, 10.0, 2.5), (96.0, 2.0, 2.0), (5.0, 1.0, 1.0)]
)
def test_short_steps_are_looked_at_more_often(dwell_s: float, whole_s: float, fast_s: float):
    assert (tick_s(dwell_s), fast_tick_s(dwell_s)) == (whole_s, fast_s)


def test_a_tick_that_cannot_see_holds_and_says_why():
    report = without_evidence(STEP, "the lake cannot be reached", at=AT, running_s=4.0)

    assert (report.verdict, report.look, report.checks) == ("hold", 0, ())
    assert report.digest == RUNNING.digest
    assert report.summary == "Nothing is concluded: the lake cannot be reached"
