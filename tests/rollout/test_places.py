from __future__ import annotations

from msgspec.structs import replace

from rollout.phase import Plan, Row
from rollout.places import first_row, next_row, row_of
from rollout.plan import CERTIFICATE
from tests.fakes.plans import SHORT_PLAN, started, step_of

STEP = step_of(started())


def test_the_first_row_is_the_first_that_gives_the_candidate_users():
    assert first_row(SHORT_PLAN) == 1
    assert first_row(replace(SHORT_PLAN, rows=(CERTIFICATE,))) is None


def test_the_next_row_follows_the_steps_own():
    assert next_row(SHORT_PLAN, STEP) == 2


def test_the_last_row_has_none_after_it():
    last = replace(STEP, row=SHORT_PLAN.rows[-1], row_number=4)

    assert next_row(SHORT_PLAN, last) is None


def test_a_row_that_moved_within_an_edited_plan_is_known_by_phase_and_percent():
    earlier = Row(phase="canary", percent=1.0, dwell_s=5.0, gate="canary")
    edited: Plan = replace(SHORT_PLAN, rows=(CERTIFICATE, earlier, *SHORT_PLAN.rows[1:]))

    assert next_row(edited, STEP) == 3


def test_after_a_row_that_the_plan_has_no_more_comes_the_first_with_more_percent():
    step = replace(STEP, row=replace(STEP.row, percent=7.0))

    assert next_row(SHORT_PLAN, step) == 2
    assert next_row(SHORT_PLAN, replace(step, row=replace(step.row, percent=99.0))) is None


def test_a_row_is_found_by_its_percent_and_the_certificates_never():
    assert row_of(SHORT_PLAN, 50.0) == 3
    assert row_of(SHORT_PLAN, 7.0) is None
    assert row_of(SHORT_PLAN, 0.0) is None
