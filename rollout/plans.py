"""Rows of a plan: which is first, which comes next, and the step that a row becomes when it begins. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from analytics.evidence import Check
from rollout.phase import DAY_S, FrozenStep, Margin, Plan, Row

_PHASE_ALPHA = 0.05
_FAST_KILL_SHARE = 0.2
_GA_WINDOW_ALPHA = 0.004
_SHARES: Mapping[Check, float] = {"errors": 0.4, "p99": 0.16, "p50": 0.08, "ttft": 0.08, "satisfaction": 0.08}

DEFAULT_PLAN = Plan(
    rows=(
        Row(phase="certificate", percent=0.0, dwell_s=None, gate="certificate"),
        Row(phase="canary", percent=5.0, dwell_s=2 * DAY_S, gate="canary"),
        Row(phase="canary", percent=10.0, dwell_s=5 * DAY_S, gate="canary"),
        Row(phase="beta", percent=25.0, dwell_s=7 * DAY_S, gate="beta"),
        Row(phase="beta", percent=50.0, dwell_s=7 * DAY_S, gate="beta"),
        Row(phase="ga", percent=100.0, dwell_s=None, gate="ga"),
    ),
    margins={
        "errors": Margin(relative=0.25, absolute=0.002),
        "p99": Margin(ratio=1.2, min_requests=2000),
        "p50": Margin(ratio=1.1),
        "ttft": Margin(ratio=1.1),
        "satisfaction": Margin(absolute=0.03, min_requests=300),
    },
)


def first_row(plan: Plan) -> int | None:
    """Return the place of the first row that gives the candidate users; None if there is none."""
    return next((at for at, row in enumerate(plan.rows) if row.gate != "certificate" and row.percent > 0), None)


def next_row(plan: Plan, step: FrozenStep) -> int | None:
    """Return the place of the row after a step's in a plan, which may have been edited since the step began.

    A row is known by phase and percent; where the plan has that row no more, the next is the first with more percent.
    """
    same = [at for at, row in enumerate(plan.rows) if (row.phase, row.percent) == (step.row.phase, step.row.percent)]
    if same:
        here = step.row_number if step.row_number in same else same[-1]
        return here + 1 if here + 1 < len(plan.rows) else None
    return next((at for at, row in enumerate(plan.rows) if row.percent > step.row.percent), None)


def row_of(plan: Plan, percent: float) -> int | None:
    """Return the place of the row with this percent; None if there is none."""
    return next((at for at, row in enumerate(plan.rows) if row.percent == percent and row.gate != "certificate"), None)


def freeze_step(  # noqa: PLR0913 - one for each thing that is frozen
    plan: Plan,
    row_number: int,
    *,
    rollout: str,
    generation: int,
    step: int,
    started_at: int,
    references: Mapping[Check, float | None],
    rating: Literal["thumb", "rating"] = "thumb",
) -> FrozenStep:
    """Return the step that a row becomes when it begins."""
    row = plan.rows[row_number]
    rows = [at for at, other in enumerate(plan.rows) if other.phase == row.phase]
    alpha = _GA_WINDOW_ALPHA if row.gate == "ga" else _PHASE_ALPHA / len(rows)
    checks = [check for check in plan.margins if check != "satisfaction" or row.gate in {"beta", "ga"}]
    margins = {
        check: Margin(
            **{
                name: getattr(plan.margins[check], name)
                for name in ("relative", "absolute", "ratio", "min_users", "min_requests")
            },
            alpha=alpha * _SHARES[check],
        )
        for check in checks
    }
    return FrozenStep(
        rollout=rollout,
        generation=generation,
        step=step,
        row_number=row_number,
        row=row,
        is_proof=row_number == rows[-1],
        margins=margins,
        fast_kill_alpha=alpha * _FAST_KILL_SHARE,
        references={check: references.get(check) for check in ("p50", "p99", "ttft") if check in references},
        rating=rating,
        started_at=started_at,
    )
