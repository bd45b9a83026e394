"""Evidence of a step as tests need it: arms of users that are all alike but for what goes wrong with them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from analytics.evidence import ArmSums, CheckSums, Quality, StepEvidence, capped_sums
from rollout.phase import FrozenStep, StepStart, freeze_step
from rollout.plan import DEFAULT_PLAN

AT = 1_800_000_000_000_000


def step(number: int, **given: Any) -> FrozenStep:
    """Return a row of the default plan as it is frozen."""
    start = {"rollout": "sales", "generation": 1, "step": 3, "started_at": AT}
    references = {"p50": 800.0, "p99": 4000.0, "ttft": 90.0}
    return freeze_step(DEFAULT_PLAN, number, StepStart(**{**start, "references": references, **given}))


def arm(users: int, requests: int, events: float, *, beyond: float | None = None, every: int = 1) -> ArmSums:
    """Return an arm of users with so many requests each, `events` of them bad on average: those of every nth user."""
    bad = _spread(users, requests, events, every)
    return ArmSums(
        requests=users * requests,
        events=round(sum(x for _, x in bad)),
        x=capped_sums(bad, requests),
        y=None if beyond is None else capped_sums(_spread(users, requests, beyond, every), requests),
    )


def _spread(users: int, requests: int, events: float, every: int) -> list[tuple[float, float]]:
    if every > 1:
        return [(requests, events * every * (user % every == 0)) for user in range(users)]
    return [(requests, min(requests, events * (0.5 if user % 2 else 1.5))) for user in range(users)]


def fitting(seen: StepEvidence, percent: float) -> StepEvidence:
    """Return the evidence with as many users in each arm as are due at this percent, if nothing is said of them."""
    if (seen.quality.base_users, seen.quality.candidate_users) != (SOUND.base_users, SOUND.candidate_users):
        return seen
    candidates = round(percent * 100)
    return replace(seen, quality=replace(seen.quality, base_users=10_000 - candidates, candidate_users=candidates))


def sums(users: int, requests: int, events: float, *, base_events: float | None = None, every: int = 1) -> CheckSums:
    """Return a check's sums; base has ten times as many users, and as many events a user if not said otherwise."""
    base = events if base_events is None else base_events
    return CheckSums(
        cap=requests,
        base=arm(10 * users, requests, base, every=every),
        candidate=arm(users, requests, events, every=every),
    )


def slow(users: int, requests: int, share: float, *, beyond: float, every: int = 1) -> CheckSums:
    """Return a latency's sums: which share of base's and candidate's requests is slow, and of candidate's by far."""
    return CheckSums(
        cap=requests,
        base=arm(10 * users, requests, share * requests, every=every),
        candidate=arm(users, requests, share * requests, beyond=beyond * requests, every=every),
    )


SOUND = Quality(
    base_users=9000,
    candidate_users=1000,
    base_rows=180_000,
    candidate_rows=20_000,
    due_rows=200_000,
    heartbeat_age_s=1.0,
    settled_rows=200_000,
)

EQUAL = StepEvidence(
    rollout="sales",
    generation=1,
    step=3,
    as_of=AT,
    checks={
        "errors": sums(1000, 20, 0.4),
        "p50": slow(1000, 20, 0.5, beyond=0.4),
        "p99": slow(1000, 20, 0.01, beyond=0.004),
        "ttft": slow(1000, 20, 0.5, beyond=0.4),
    },
    quality=SOUND,
)

PROOF = step(2)
INNER = step(1)
RATED = step(4)
GA = step(5)
HOLDBACK = replace(GA, row=replace(GA.row, percent=98.0))


def evidence(**given: Any) -> StepEvidence:
    """Return evidence of equal arms, but for the checks and fields that are given."""
    checks = {name: given.pop(name) for name in ("errors", "p50", "p99", "ttft", "satisfaction") if name in given}
    return replace(EQUAL, checks={**EQUAL.checks, **checks}, **given)
