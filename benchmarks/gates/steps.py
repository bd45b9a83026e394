"""Steps with a plan's margins, and what a look at drawn traffic knows: given to the product's gate and controller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from analytics.evidence import Check, CheckSums, FailingUsers, Quality, StepEvidence
from rollout.controller import move
from rollout.gate import judge
from rollout.phase import FrozenStep, Margin, Plan, Row
from rollout.plan import DEFAULT_MARGINS
from rollout.progress import Progress, begun, due_look
from rollout.verdict import GateReport, Look, Watch

HOUR_S = 3600.0
_BEGAN_US = 1_760_000_000_000_000


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What is known at one moment of a step, in hours of running time."""

    hour: float
    checks: Mapping[Check, CheckSums]
    drift: Mapping[Check, float | None] = field(default_factory=dict[Check, float | None])
    failing: tuple[FailingUsers, ...] = ()
    feedback: CheckSums | None = None
    users: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class End:
    """How a step ended: the last report, when, at which look it passed (0: none), whether it was rolled back."""

    report: GateReport
    hour: float
    passed: int
    failed: bool


def step(
    percent: float, dwell_h: float, margins: Mapping[Check, Margin], *, fast_kill_alpha: float = 0.005
) -> FrozenStep:
    """Return a step that asks for proof of these checks alone."""
    row = Row(phase="canary", percent=percent, dwell_s=dwell_h * HOUR_S, gate="canary", checks=tuple(margins))
    return FrozenStep(
        rollout="simulated",
        generation=1,
        step=1,
        row_number=0,
        row=row,
        is_proof=True,
        margins={**DEFAULT_MARGINS, **margins},
        fast_kill_alpha=fast_kill_alpha,
        references={check: 1.0 for check in margins if check in {"p50", "p99", "ttft"}},
        started_at=_BEGAN_US,
    )


def follow(frozen: FrozenStep, ticks: Iterable[Tick], plan: Plan | None = None) -> End:
    """Let gate and controller see a step tick by tick, until the controller moves or there is no more traffic.

    `plan`: the step's; without one the step is the last before general availability, and nobody is asked for approval.
    """
    plan = plan or alone(frozen)
    progress = begun(Progress(), frozen, "running")
    for tick in ticks:
        progress = replace(progress, running_s=tick.hour * HOUR_S)
        look = due_look(progress)
        report, watch = seen(frozen, progress.watch, tick, look)
        progress = replace(progress, watch=watch, report=report)
        moved = move(progress, plan, at=report.at, thaws_at=None)
        if moved != "stay":
            passed = look if moved in {"promote", "await_approval"} else 0
            return End(report=report, hour=tick.hour, passed=passed, failed=moved == "roll_back")
    if progress.report is None:
        message = "a step without ticks has no end: give it traffic"
        raise ValueError(message)
    return End(report=progress.report, hour=progress.running_s / HOUR_S, passed=0, failed=False)


def alone(frozen: FrozenStep) -> Plan:
    """Return a plan of one step."""
    last = Row(phase="ga", percent=100.0, dwell_s=None, gate="ga")
    return Plan(rows=(frozen.row, last), margins=frozen.margins, approval="auto")


def seen(frozen: FrozenStep, watch: Watch, tick: Tick, look: Look) -> tuple[GateReport, Watch]:
    """Return what the product concludes at one tick."""
    at = frozen.started_at + round(tick.hour * HOUR_S * 1e6)
    evidence = StepEvidence(
        rollout=frozen.rollout,
        generation=frozen.generation,
        step=frozen.step,
        as_of=at,
        checks=tick.checks,
        feedback=tick.feedback,
        failing=tick.failing,
        quality=quality(tick),
        drift=tick.drift,
    )
    return judge(frozen, watch, evidence, at=at, running_s=tick.hour * HOUR_S, look=look)


def quality(tick: Tick) -> Quality:
    """Return a record in which nothing is lost: of the hold conditions only the sample ratio is at work."""
    sums = next(iter(tick.checks.values()), None)
    if sums is None:
        return Quality(heartbeat_age_s=1.0)
    base, candidate = tick.users or (sums.base.x.users, sums.candidate.x.users)
    return Quality(
        base_users=base,
        candidate_users=candidate,
        base_rows=sums.base.requests,
        candidate_rows=sums.candidate.requests,
        due_rows=sums.base.requests + sums.candidate.requests,
        heartbeat_age_s=1.0,
        recent_base_rows=max(1, sums.base.requests),
        recent_candidate_rows=max(1, sums.candidate.requests),
        settled_rows=sums.base.requests + sums.candidate.requests,
    )
