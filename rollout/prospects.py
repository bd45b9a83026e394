"""A plan as a forecast reads it: its rows between the certificate and GA, and what each check tolerates. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import asdict

from analytics.evidence import Check
from analytics.forecast import Tolerance
from analytics.prospect import PlanRow
from rollout.durations import DAY_S
from rollout.phase import Plan


def plan_rows(plan: Plan) -> tuple[PlanRow, ...]:
    """Return the rows in which something is decided; inner rows of a phase prove nothing."""
    return tuple(
        PlanRow(
            phase=row.phase,
            percent=row.percent,
            days=row.dwell_s / DAY_S,
            checks=row.asked if plan.is_proof(at) else (),
        )
        for at, row in enumerate(plan.rows)
        if row.dwell_s is not None and row.gate not in {"certificate", "ga"}
    )


def tolerances(plan: Plan) -> Mapping[Check, Tolerance]:
    """Return what each check tolerates, needs and spends."""
    return {check: Tolerance(**asdict(margin)) for check, margin in plan.margins.items()}
