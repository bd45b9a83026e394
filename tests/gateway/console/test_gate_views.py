from __future__ import annotations

from msgspec.structs import replace

from gateway.console.gate_views import controller_view, gate_view, position_of
from rollout.progress import Progress
from rollout.schedule import FreezeWindow
from tests.fakes.plans import AT, SHORT_PLAN, held, holding, said, standing, started


def test_a_plan_that_was_not_started_shows_no_row():
    view = controller_view(Progress(), SHORT_PLAN)

    assert (view.standing, view.row, view.phase, view.dwell_s, view.next_look_s) == ("idle", None, None, None, None)


def test_a_gate_shows_how_far_the_step_is_and_what_comes_next():
    one = held(started())
    report = said("collecting")
    view = gate_view(
        replace(one, progress=replace(one.progress, running_s=4.0004, report=report)), SHORT_PLAN, [report], at=AT
    )

    assert (view.controller.running_s, view.controller.dwell_s, view.controller.next_look_s) == (4.0, 10.0, 5.9996)
    assert (view.next_row, view.report, view.reports) == (SHORT_PLAN.rows[2], report, (report,))


def test_before_the_start_nothing_comes_next():
    assert gate_view(held(holding()), SHORT_PLAN, [], at=AT).next_row is None


def test_what_passed_and_waits_is_spoken_of_as_passed_unless_it_holds_by_now():
    waiting = held(standing("awaiting", awaits="approval", passed=said("pass"), report=said("collecting")))
    holding_now = held(
        standing("awaiting", awaits="approval", passed=said("pass"), report=said("hold", holds=("Why.",)))
    )

    assert "approve" in gate_view(waiting, SHORT_PLAN, [], at=AT).answers.next_decision
    assert gate_view(holding_now, SHORT_PLAN, [], at=AT).answers.missing.startswith("Why")


def test_whoever_waits_for_a_time_is_told_how_long():
    scheduled = replace(held(holding()), progress=Progress(standing="scheduled", start_at=AT + 7_200_000_000))
    frozen = held(standing("awaiting", awaits="thaw", passed=said("pass")))

    assert position_of(scheduled, SHORT_PLAN, at=AT, thaws_at=None).wait_s == 7200.0
    position = position_of(frozen, SHORT_PLAN, at=AT, thaws_at=AT + 60_000_000)
    assert (position.condition, position.wait_s, position.row_number) == ("awaiting_thaw", 60.0, 1)
    assert position_of(held(holding()), SHORT_PLAN, at=AT, thaws_at=None).wait_s is None


def test_a_start_within_a_freeze_window_is_told_for_when_the_window_ends():
    window = FreezeWindow(start=AT + 60_000_000, end=AT + 3_600_000_000)
    frozen = replace(SHORT_PLAN, freezes=(window,))
    scheduled = replace(held(holding()), progress=Progress(standing="scheduled", start_at=AT + 120_000_000))

    view = gate_view(scheduled, frozen, [], at=AT).controller
    assert (view.start_at, view.thaws_at) == (AT + 120_000_000, AT + 3_600_000_000)
    assert position_of(scheduled, frozen, at=AT, thaws_at=None).wait_s == 3600.0
    assert gate_view(scheduled, SHORT_PLAN, [], at=AT).controller.thaws_at is None


def test_what_passed_is_spoken_of_as_passed_in_a_pause_too():
    paused = held(
        standing("paused", resumes="awaiting", awaits="approval", passed=said("pass"), report=said("collecting"))
    )

    assert position_of(paused, SHORT_PLAN, at=AT, thaws_at=None).paused_from == "awaiting_approval"
    assert gate_view(paused, SHORT_PLAN, [], at=AT).answers.missing == (
        "Somebody who resumes the rollout, which is paused. An approval: the step has passed."
    )
