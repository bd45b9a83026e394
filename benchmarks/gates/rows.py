"""Requests and feedback of a step, one by one, as the lake records them: for runs that go through the real SQL."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from analytics.record import Record, uuid7
from rollout.phase import FrozenStep

_HOUR_US = 3_600_000_000


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How one arm answers: the share of errors, the median wait, the share of unhappy raters; 0-1 and milliseconds."""

    rate: float = 0.02
    wait_ms: float = 400.0
    unhappy: float = 0.2


@dataclass(frozen=True, kw_only=True)
class Village:
    """Few users over a whole step, half of whose requests get feedback, up to a day and a half later."""

    users: int = 300
    requests: float = 40.0
    base: Habits = field(default_factory=Habits)
    candidate: Habits = field(default_factory=Habits)


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What came into the lake between two ticks: requests, and feedback of these and of earlier ones."""

    hour: float
    records: list[Record]
    feedback: list[dict[str, object]]


def arrivals(seed: int, village: Village, step: FrozenStep, *, hours: float, ticks: int) -> Iterator[Arrived]:
    """Draw a step, and yield what arrives up to each tick; what comes later than `hours` is left out."""
    chance = random.Random(seed)
    drawn = sorted(_records(chance, village, step, hours), key=lambda one: one.started_at)
    records = [replace(one, seq=number) for number, one in enumerate(drawn, start=1)]
    pieces = [piece for number, one in enumerate(records) for piece in _said(chance, village, one, number)]
    for tick in range(ticks):
        begin, end = (step.started_at + round(hours * part / ticks * _HOUR_US) for part in (tick, tick + 1))
        yield Arrived(
            hour=hours * (tick + 1) / ticks,
            records=[one for one in records if begin <= one.started_at < end],
            feedback=[one for one in pieces if begin <= int(str(one["received_at"])) < end],
        )


def _records(chance: random.Random, village: Village, step: FrozenStep, hours: float) -> Iterator[Record]:
    number = 0
    for user in range(village.users):
        bucket = chance.randrange(10_000)
        is_candidate = bucket < round(step.row.percent * 100)
        habits = village.candidate if is_candidate else village.base
        own_rate, own_wait = habits.rate * chance.uniform(0.0, 2.0), habits.wait_ms * chance.lognormvariate(0.0, 0.3)
        for _ in range(max(1, round(chance.lognormvariate(0.0, 0.6) * village.requests))):
            number += 1
            at = step.started_at + round(chance.uniform(0.0, hours) * _HOUR_US)
            yield Record(
                request_id=uuid7(at, number.to_bytes(10)),
                seq=number,
                started_at=at,
                outcome="upstream_error" if chance.random() < own_rate else "ok",
                application="shop",
                rollout=step.rollout,
                generation=step.generation,
                step=step.step,
                percent=step.row.percent,
                bucket=bucket,
                arm_assigned="candidate" if is_candidate else "base",
                arm_served="candidate" if is_candidate else "base",
                reason="split",
                user_hash=user.to_bytes(16),
                latency_ms=round(own_wait * chance.lognormvariate(0.0, 0.6), 3),
            )


def _said(chance: random.Random, village: Village, one: Record, number: int) -> Iterator[dict[str, object]]:
    if one.outcome != "ok" or chance.random() < 0.5:
        return
    habits = village.candidate if one.arm_assigned == "candidate" else village.base
    yield {
        "feedback_id": uuid7(one.started_at + 1, (number + 1_000_000).to_bytes(10)),
        "received_at": one.started_at + round(chance.uniform(0.01, 36.0) * _HOUR_US),
        "application": one.application,
        "request_id": one.request_id,
        "response_id": None,
        "thumb": "down" if chance.random() < habits.unhappy else "up",
    }
