"""The controller: what one tick makes of a rollout's progress and the gate's word. Pure; moves stand in a table.

The law: it reads nothing but what the ledger holds and what this tick was told, so a tick that was cut off is done
again with the same end. Nothing is promoted while the gate holds, while evidence is missing, or in a freeze window;
rolling back waits for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from rollout.phase import FrozenStep, Plan
from rollout.places import next_row
from rollout.progress import WATCHED, Progress, Standing
from rollout.reference import Vigil
from rollout.verdict import GateReport, Verdict, Watch

Move = Literal[
    "stay", "start", "promote", "await_approval", "await_thaw", "ask", "renew", "roll_back", "freeze", "alarm"
]
"""`ask`: the row is inconclusive, and a person is asked. `renew`: a window at GA is over, the next one begins.

`freeze`: base as it was has been kept, to watch by at 100 %; `alarm`: that watch alarmed, which moves nothing."""

MOVES: Mapping[tuple[Standing, Verdict], Move] = {
    **{(standing, "fail"): "roll_back" for standing in sorted(WATCHED)},
    ("running", "pass"): "promote",
    ("running", "inconclusive"): "ask",
}
"""What a verdict moves; whatever is not here stays."""

LONGEST_TICK_S = 240.0
LEAST_TICKS_S = 5.0


def ticked(progress: Progress, report: GateReport, watch: Watch, *, elapsed_s: float) -> Progress:
    """Return the progress after a tick: its clocks further by `elapsed_s` (monotonic), with its watch and report."""
    counted = clocked(progress, elapsed_s)
    goes_on = report.verdict == progress.verdict == "hold"
    return replace(
        counted,
        held_s=progress.held_s + max(0.0, elapsed_s) if goes_on else 0.0,
        held_since=progress.held_since if goes_on else report.at,
        watch=watch,
        report=report,
        ticks=progress.ticks + 1,
    )


def clocked(progress: Progress, elapsed_s: float) -> Progress:
    """Return the progress with its running time further by what passed since the last tick, if its clock ran."""
    running_s = progress.running_s + (bounded(progress, elapsed_s) if progress.is_clock_running else 0.0)
    return replace(progress, running_s=running_s)


def bounded(progress: Progress, elapsed_s: float) -> float:
    """Return how much of the seconds since the last tick counts: a console that stood still saw nothing."""
    return max(0.0, min(elapsed_s, LONGEST_TICK_S, max(LEAST_TICKS_S, 4 * tick_s(progress.paced_s))))


def tick_s(dwell_s: float) -> float:
    """Return how many seconds lie between two whole evaluations of a step: 60, less for a short one, at least 1."""
    return min(60.0, max(1.0, dwell_s / 48))


def fast_tick_s(dwell_s: float) -> float:
    """Return how many seconds lie between two looks of fast kill: 2.5, less for a short step."""
    return min(2.5, tick_s(dwell_s))


def move(progress: Progress, plan: Plan, *, at: int, thaws_at: int | None) -> Move:
    """Return what is to be done, after a tick or without one (µs since 1970 UTC); `thaws_at`: a freeze window's end."""
    verdict = progress.verdict
    if progress.standing == "scheduled":
        is_due = progress.start_at is not None and at >= progress.start_at
        return "start" if is_due and thaws_at is None else "stay"
    found = MOVES.get((progress.standing, verdict), "stay") if verdict is not None else "stay"
    if found == "promote":
        return _promotion(progress, plan, thaws_at)
    if found != "stay":
        return found
    if progress.vigil is not None and (news := _of_watch(progress.vigil)) is not None:
        return news
    if progress.standing == "awaiting" and progress.awaits == "thaw" and thaws_at is None and verdict != "hold":
        return _promotion(progress, plan, None)
    is_over = progress.standing == "at_ga" and progress.running_s >= progress.dwell_s
    return "renew" if is_over and verdict != "hold" else "stay"


def _of_watch(vigil: Vigil) -> Move | None:
    if vigil.digest and not vigil.is_told:
        return "freeze"
    return "alarm" if vigil.news else None


def _promotion(progress: Progress, plan: Plan, thaws_at: int | None) -> Move:
    """Return how a row that passed goes on: between phases by approval, never within a freeze window."""
    step = progress.step
    place = next_row(plan, step) if step is not None else None
    if step is None or place is None:
        return "stay"
    if plan.approval == "one" and plan.rows[place].phase != step.row.phase:
        return "await_approval"
    return "promote" if thaws_at is None else "await_thaw"


def without_evidence(step: FrozenStep, why: str, *, at: int, running_s: float) -> GateReport:
    """Return the report of a tick that could not see: it holds, for `why` (one sentence), and never passes."""
    return GateReport(
        rollout=step.rollout,
        generation=step.generation,
        step=step.step,
        digest=step.digest,
        gate=step.row.gate,
        at=at,
        running_s=running_s,
        look=0,
        verdict="hold",
        summary=f"Nothing is concluded: {why}",
        holds=(why,),
    )
