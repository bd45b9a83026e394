"""How a step begins and a plan's move is told: flag and progress change together, and the audit hears of both. Pure.

The law: what proved a move stands in its audit entry, and so does the frozen step with its hash.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec
from msgspec.structs import replace

from analytics.evidence import Check
from rollout.change import Action, Change, Held
from rollout.flag import Flag
from rollout.phase import Plan, StepStart, freeze_step
from rollout.progress import Progress, Standing, begun
from rollout.verdict import GateReport


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Who wishes something of which rollout: the version that they saw, why, and when (µs since 1970 UTC)."""

    rollout: str
    version: int
    actor: str
    reason: str = ""
    at: int


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """What a new step is made of: the plan in force, base's latencies, which feedback counts.

    `thaws_at`: the end of the freeze window that is open now (µs since 1970 UTC), or None.
    """

    plan: Plan
    references: Mapping[Check, float | None] = {}
    rating: Literal["thumb", "rating"] = "thumb"
    thaws_at: int | None = None


def entered(
    action: Action,
    held: Held,
    place: int,
    ahead: Ahead,
    wanted: Wanted,
    *,
    note: str,
    report: GateReport | None = None,
    **said: Any,
) -> Change:
    """Return the change that begins a row of the plan."""
    flag, row = held.flag, ahead.plan.rows[place]
    began = StepStart(
        rollout=flag.rollout,
        generation=flag.generation,
        step=flag.step + 1,
        started_at=wanted.at,
        references=ahead.references,
        rating=ahead.rating,
    )
    step = freeze_step(ahead.plan, place, began)
    standing: Standing = "at_ga" if row.gate == "ga" else "running"
    moved = moved_on(flag, percent=row.percent, phase=row.phase)
    progress = begun(held.progress, step, standing, note=note)
    return told(action, held, moved, progress, report=report, frozen=msgspec.to_builtins(step), **said)


def moved_on(flag: Flag, **to: Any) -> Flag:
    """Return the flag in a new step; whoever tells of it raises the version."""
    return replace(flag, step=flag.step + 1, **to)


def over(progress: Progress, standing: Standing, at: int, note: str) -> Progress:
    """Return the progress once nothing of it is waited for any more."""
    return replace(
        progress,
        standing=standing,
        since=at,
        note=note,
        banner="",
        awaits=None,
        resumes=None,
        start_at=None,
        passed=None,
        vigil=None,
    )


def told(
    action: Action, held: Held, flag: Flag, progress: Progress, *, report: GateReport | None = None, **said: Any
) -> Change:
    """Return the change with what the audit says of it: where it stood and stands, and what proved it."""
    raised = replace(flag, version=held.flag.version + 1)
    after = {**_shown(raised, progress), **said}
    if report is not None:
        after["evidence"] = evidence(report)
    is_news = report not in (held.progress.report, held.progress.passed)
    return Change(
        action=action,
        rollout=flag.rollout,
        before=_shown(held.flag, held.progress),
        after=after,
        flag=raised,
        progress=progress,
        report=report if is_news else None,
    )


def _shown(flag: Flag, progress: Progress) -> dict[str, Any]:
    return {
        "standing": progress.standing,
        "generation": flag.generation,
        "percent": flag.percent,
        "phase": flag.phase,
        "version": flag.version,
        "step": flag.step,
        "digest": progress.digest,
    }


def evidence(report: GateReport) -> dict[str, Any]:
    """Return a report as the audit keeps it; numbers that JSON does not have become None."""
    return cast("dict[str, Any]", _finite(msgspec.to_builtins(report)))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in cast("list[Any]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
