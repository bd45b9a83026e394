"""Steps: what is frozen when one begins, and how short steps are watched."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from analytics.evidence import StepWindow
from rollout.durations import DAY_S
from rollout.phase import FrozenStep, Plan, Row, StepStart, freeze_step, pace, row_alpha, step_window
from rollout.plan import DEFAULT_MARGINS, DEFAULT_PLAN

AT = 1_800_000_000_000_000
REFERENCES = {"p50": 800.0, "p99": 4000.0, "ttft": None}


def frozen(number: int = 1, *, plan: Plan = DEFAULT_PLAN, **given: Any) -> FrozenStep:
    whole: dict[str, Any] = {"rollout": "sales", "generation": 1, "step": 3, "started_at": AT, "references": REFERENCES}
    return freeze_step(plan, number, StepStart(**{**whole, **given}))


def test_a_row_of_two_has_the_documented_shares_of_false_alarms():
    step = frozen(2)

    assert {check: margin.alpha for check, margin in step.margins.items()} == {
        "errors": 0.01,
        "p99": 0.004,
        "p50": 0.002,
        "ttft": 0.002,
        "satisfaction": 0.002,
    }
    assert step.fast_kill_alpha == 0.005
    assert step.fast_kill_margin == 0.25
    assert step.is_proof
    assert not frozen(1).is_proof


@pytest.mark.parametrize(("rows", "alpha"), [(1, 0.05), (2, 0.025), (5, 0.01)])
def test_a_phases_share_is_divided_equally_over_its_rows(rows: int, alpha: float):
    canary = tuple(replace(DEFAULT_PLAN.rows[1], percent=float(number)) for number in range(1, rows + 1))
    plan = replace(DEFAULT_PLAN, rows=(DEFAULT_PLAN.rows[0], *canary, *DEFAULT_PLAN.rows[3:]))

    assert row_alpha(plan, canary[0]) == pytest.approx(alpha)
    assert sum(margin.alpha for margin in frozen(1, plan=plan).margins.values()) + frozen(
        1, plan=plan
    ).fast_kill_alpha == pytest.approx(alpha)


def test_a_window_beside_a_holdback_has_its_own_share():
    assert row_alpha(DEFAULT_PLAN, DEFAULT_PLAN.rows[5]) == 0.004
    assert frozen(5).fast_kill_alpha == 0.0008


def test_a_wide_margin_of_errors_is_fast_kills_too():
    margins = {**DEFAULT_MARGINS, "errors": replace(DEFAULT_MARGINS["errors"], relative=1.0)}

    assert frozen(plan=replace(DEFAULT_PLAN, margins=margins)).fast_kill_margin == 1.0


def test_an_edited_plan_has_another_hash_and_an_equal_one_the_same():
    margins = {**DEFAULT_MARGINS, "p99": replace(DEFAULT_MARGINS["p99"], ratio=1.3)}
    backwards = {check: DEFAULT_MARGINS[check] for check in reversed(tuple(DEFAULT_MARGINS))}

    assert frozen().digest == frozen(plan=replace(DEFAULT_PLAN, margins=backwards)).digest
    assert frozen().digest != frozen(plan=replace(DEFAULT_PLAN, margins=margins)).digest
    assert frozen().digest != frozen(references={**REFERENCES, "ttft": 90.0}).digest
    assert len(frozen().digest) == 64


def test_a_percent_set_by_hand_stands_in_the_step():
    step = frozen(percent=7.5)

    assert step.row.percent == 7.5
    assert step_window(step).percent == 7.5


def test_the_window_has_the_thresholds_that_are_known():
    assert step_window(frozen()) == StepWindow(
        rollout="sales",
        generation=1,
        step=3,
        percent=5.0,
        started_at=AT,
        thresholds={"p50": (800.0, 1.1 * 800.0), "p99": (4000.0, 4800.0)},
        day_s=DAY_S / 2,
    )


def test_a_reference_that_is_found_later_is_used_and_a_frozen_one_stays():
    window = step_window(frozen(rating="rating"), {"ttft": 100.0, "p50": 1.0})

    assert window.thresholds["ttft"] == (100.0, pytest.approx(110.0))
    assert window.thresholds["p50"][0] == 800.0
    assert window.rating == "rating"


def test_what_does_not_apply_stays_out_of_the_window():
    without = frozen(references={"p50": 800.0, "p99": 4000.0})

    assert "ttft" not in step_window(without, {"ttft": 100.0}).thresholds


def test_long_steps_are_watched_as_documented():
    stretches = pace(DEFAULT_PLAN.rows[4])

    assert stretches.hour_s == 3600
    assert stretches.day_s == DAY_S
    assert stretches.silence_s == 7200
    assert stretches.quiet_s == DAY_S
    assert stretches.heartbeat_s == 900
    assert stretches.settle_s == 300
    assert pace(DEFAULT_PLAN.rows[5]).dwell_s == 28 * DAY_S


@settings(deadline=None, max_examples=100)
@given(st.floats(min_value=10.0, max_value=365 * DAY_S))
def test_every_stretch_ends_within_its_step(dwell_s: float):
    stretches = pace(Row(phase="canary", percent=5.0, dwell_s=dwell_s, gate="canary"))
    lengths = [getattr(stretches, name) for name in stretches.__struct_fields__ if name != "dwell_s"]

    assert all(0 < length <= dwell_s for length in lengths)
