"""What the console shows of plans and gates: shapes of its JSON, and how the ledger gives them. Times are µs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rollout.change import Held
from rollout.phase import Phase, Plan, Row
from rollout.places import next_row
from rollout.progress import Awaited, Override, Progress, Standing, next_look_s
from rollout.verdict import GateReport, Verdict


class _View(msgspec.Struct, frozen=True, kw_only=True):
    """One JSON object."""


class ControllerView(_View, frozen=True):
    """Where a rollout stands in its plan; `row` counts from 0, the certificate's row included.

    `running_s` of `dwell_s` seconds are over; `next_look_s` is running time, and None where no look is due. `digest` is
    the sha256 of what the step is judged by. `overrides`: where persons advanced without a pass.
    """

    standing: Standing
    since: int = 0
    note: str = ""
    row: int | None = None
    phase: Phase | None = None
    verdict: Verdict | None = None
    running_s: float = 0.0
    dwell_s: float | None = None
    next_look_s: float | None = None
    held_s: float = 0.0
    awaits: Awaited | None = None
    start_at: int | None = None
    digest: str = ""
    overrides: tuple[Override, ...] = ()


class GateView(_View, frozen=True):
    """A rollout's gate: where the plan stands, what comes next, the last report and earlier ones, newest first."""

    rollout: str
    generation: int
    step: int
    percent: float
    version: int
    controller: ControllerView
    next_row: Row | None
    report: GateReport | None
    reports: tuple[GateReport, ...] = ()


class PlanView(_View, frozen=True):
    """A rollout's plan as it is in force for the next step."""

    rollout: str
    plan: Plan


def controller_view(progress: Progress) -> ControllerView:
    """Return where a rollout stands."""
    step = progress.step
    return ControllerView(
        standing=progress.standing,
        since=progress.since,
        note=progress.note,
        row=step.row_number if step is not None else None,
        phase=step.row.phase if step is not None else None,
        verdict=progress.verdict,
        running_s=round(progress.running_s, 3),
        dwell_s=step.row.dwell_s if step is not None else None,
        next_look_s=next_look_s(progress),
        held_s=round(progress.held_s, 3),
        awaits=progress.awaits,
        start_at=progress.start_at,
        digest=progress.digest,
        overrides=progress.overrides,
    )


def gate_view(held: Held, plan: Plan, reports: Sequence[GateReport]) -> GateView:
    """Return a rollout's gate."""
    flag, progress = held.flag, held.progress
    place = next_row(plan, progress.step) if progress.step is not None else None
    return GateView(
        rollout=flag.rollout,
        generation=flag.generation,
        step=flag.step,
        percent=flag.percent,
        version=flag.version,
        controller=controller_view(progress),
        next_row=plan.rows[place] if place is not None else None,
        report=progress.report,
        reports=tuple(reports),
    )


def plan_view(rollout: str, plan: Plan) -> PlanView:
    """Return a plan."""
    return PlanView(rollout=rollout, plan=plan)
