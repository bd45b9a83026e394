"""What the console shows of plans and gates: shapes of its JSON, and how the ledger gives them. Times are µs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from analytics.suggestion import Suggestion
from rollout.change import Held
from rollout.explanation import Condition, Explanation, Position, explain
from rollout.phase import Phase, Plan, Row
from rollout.places import next_row
from rollout.progress import Awaited, Override, Progress, Standing, next_look_s
from rollout.schedule import frozen_until
from rollout.verdict import GateReport, Verdict


class _View(msgspec.Struct, frozen=True, kw_only=True):
    """One JSON object."""


class ControllerView(_View, frozen=True):
    """Where a rollout stands in its plan; `row` counts from 0, the certificate's row included.

    `running_s` of `dwell_s` seconds are over; `next_look_s` is running time, and None where no look is due. `digest` is
    the sha256 of what the step is judged by. `thaws_at`: the end of the freeze window, open
    at `start_at`, that a scheduled start waits for. `banner`: what it was started without, as long as it runs.
    `overrides`: where persons advanced without a pass.
    """

    standing: Standing
    since: int = 0
    note: str = ""
    banner: str = ""
    row: int | None = None
    phase: Phase | None = None
    verdict: Verdict | None = None
    running_s: float = 0.0
    dwell_s: float | None = None
    next_look_s: float | None = None
    held_s: float = 0.0
    awaits: Awaited | None = None
    start_at: int | None = None
    thaws_at: int | None = None
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
    answers: Explanation
    reports: tuple[GateReport, ...] = ()


class PlanView(_View, frozen=True):
    """A rollout's plan as it is in force for the next step, and how likely an equal candidate comes through.

    `chances` (0-1) of the rows with a dwell before GA, in order, and `chance` of all; None while `unknown` says why.
    """

    rollout: str
    plan: Plan
    chance: float | None = None
    chances: tuple[float, ...] | None = None
    suggestion: Suggestion | None = None
    unknown: str = ""


def controller_view(progress: Progress, plan: Plan) -> ControllerView:
    """Return where a rollout stands, by the plan in force."""
    step = progress.step
    return ControllerView(
        standing=progress.standing,
        since=progress.since,
        note=progress.note,
        banner=progress.banner,
        row=step.row_number if step is not None else None,
        phase=step.row.phase if step is not None else None,
        verdict=progress.verdict,
        running_s=round(progress.running_s, 3),
        dwell_s=step.row.dwell_s if step is not None else None,
        next_look_s=next_look_s(progress),
        held_s=round(progress.held_s, 3),
        awaits=progress.awaits,
        start_at=progress.start_at,
        thaws_at=_thaws_at(progress, plan),
        digest=progress.digest,
        overrides=progress.overrides,
    )


def gate_view(
    held: Held, plan: Plan, reports: Sequence[GateReport], *, at: int, thaws_at: int | None = None
) -> GateView:
    """Return a rollout's gate at a moment (µs since 1970 UTC); `thaws_at`: the end of an open freeze window."""
    flag, progress = held.flag, held.progress
    place = next_row(plan, progress.step) if progress.step is not None else None
    return GateView(
        rollout=flag.rollout,
        generation=flag.generation,
        step=flag.step,
        percent=flag.percent,
        version=flag.version,
        controller=controller_view(progress, plan),
        next_row=plan.rows[place] if place is not None else None,
        report=progress.report,
        answers=explain(_spoken_of(progress), position_of(held, plan, at=at, thaws_at=thaws_at)),
        reports=tuple(reports),
    )


def position_of(held: Held, plan: Plan, *, at: int, thaws_at: int | None) -> Position:
    """Return where a rollout is in its plan, as its gate's answers are about."""
    progress, step = held.progress, held.progress.step
    waits = (_thaws_at(progress, plan) or progress.start_at) if progress.standing == "scheduled" else thaws_at
    return Position(
        plan=plan,
        condition=_condition(progress),
        percent=held.flag.percent,
        row_number=step.row_number if step is not None else None,
        next_look_s=next_look_s(progress),
        wait_s=max(0.0, (waits - at) / 1_000_000) if waits is not None else None,
        paused_from=_stood(progress.resumes, progress) if progress.resumes is not None else None,
    )


def _thaws_at(progress: Progress, plan: Plan) -> int | None:
    return frozen_until(plan.freezes, progress.start_at) if progress.start_at is not None else None


def _condition(progress: Progress) -> Condition:
    return _stood(progress.standing, progress)


def _stood(standing: Standing, progress: Progress) -> Condition:
    if standing != "awaiting":
        return standing
    return "awaiting_thaw" if progress.awaits == "thaw" else "awaiting_approval"


def _spoken_of(progress: Progress) -> GateReport | None:
    """Return the report that the answers are about: what passed and waits has passed, unless it holds by now."""
    is_passed = "awaiting" in {progress.standing, progress.resumes} and progress.verdict not in {"hold", "fail"}
    return progress.passed if is_passed and progress.passed is not None else progress.report
