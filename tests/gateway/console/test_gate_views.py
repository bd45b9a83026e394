from __future__ import annotations

from msgspec.structs import replace

from gateway.console.gate_views import controller_view, gate_view, plan_view
from rollout.progress import Progress
from tests.fakes.plans import SHORT_PLAN, held, holding, said, started


def test_a_plan_that_was_not_started_shows_no_row():
    view = controller_view(Progress())

    assert (view.standing, view.row, view.phase, view.dwell_s, view.next_look_s) == ("idle", None, None, None, None)


def test_a_gate_shows_how_far_the_step_is_and_what_comes_next():
    one = held(started())
    report = said("collecting")
    view = gate_view(
        replace(one, progress=replace(one.progress, running_s=4.0004, report=report)), SHORT_PLAN, [report]
    )

    assert (view.controller.running_s, view.controller.dwell_s, view.controller.next_look_s) == (4.0, 10.0, 5.9996)
    assert (view.next_row, view.report, view.reports) == (SHORT_PLAN.rows[2], report, (report,))


def test_before_the_start_nothing_comes_next():
    assert gate_view(held(holding()), SHORT_PLAN, []).next_row is None


def test_a_plan_is_shown_as_it_is():
    assert plan_view("sales", SHORT_PLAN).plan == SHORT_PLAN
