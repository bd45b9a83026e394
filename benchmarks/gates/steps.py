"""Steps with a plan's margins, and what a look at drawn traffic knows: what the product's own judge is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from analytics.evidence import Check, CheckSums, FailingUsers, Quality, StepEvidence
from rollout.gate import GateReport, Look, Watch, judge
from rollout.phase import FrozenStep, Margin, Row
from rollout.plan import DEFAULT_MARGINS

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
    """How a step ended: the last report, at which hour, and at which look it passed (0: it did not)."""

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


def follow(frozen: FrozenStep, ticks: Iterable[Tick]) -> End:
    """Judge a step tick by tick, as the controller would, until it fails, passes or there is no more traffic."""
    watch, dwell_h = Watch(), (frozen.row.dwell_s or 0.0) / HOUR_S
    report, hour = None, 0.0
    for tick in ticks:
        hour = tick.hour
        look = _look(watch, tick.hour, dwell_h)
        report, watch = seen(frozen, watch, tick, look)
        if report.verdict == "fail":
            return End(report=report, hour=hour, passed=0, failed=True)
        if report.verdict == "pass":
            return End(report=report, hour=hour, passed=look, failed=False)
    if report is None:
        message = "a step without ticks has no end: give it traffic"
        raise ValueError(message)
    return End(report=report, hour=hour, passed=0, failed=False)


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


def _look(watch: Watch, hour: float, dwell_h: float) -> Look:
    if watch.looks == 0 and hour >= dwell_h:
        return 1
    if watch.looks == 1 and hour >= 2 * dwell_h:
        return 2
    return 0
