"""Places in a plan, which may have been edited since the present step began: the first row, the next one. Pure."""

from __future__ import annotations

from rollout.phase import FrozenStep, Plan


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
