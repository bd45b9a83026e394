"""Requests and feedback of a step, as awkward as they come, for tests of the evidence."""

from __future__ import annotations

import random
from typing import Any

from analytics.evidence import StepWindow
from analytics.record import Record, uuid7
from tests.fakes.handmade_lake import AT_US, record

DAY_US = 86_400_000_000
WINDOW = StepWindow(
    rollout="chat",
    generation=2,
    step=3,
    percent=10.0,
    started_at=AT_US,
    thresholds={"p50": (100.0, 110.0), "p99": (900.0, 1080.0), "ttft": (40.0, 44.0)},
)
NOW = AT_US + 3 * DAY_US


def gate_row(number: int, **facts: Any) -> Record:
    """Return a row that counts: a user's of its own, of base, answered in 50 ms."""
    known: dict[str, Any] = {
        "rollout": "chat",
        "generation": 2,
        "step": 3,
        "percent": 10.0,
        "bucket": number % 10_000,
        "reason": "split",
        "arm_assigned": "base",
        "arm_served": "base",
        "user_hash": number.to_bytes(16),
        "application": "shop",
        "response_id": f"answer-{number}",
        "latency_ms": 50.0,
    }
    return record(number, **(known | facts))


def drawn(chance: random.Random, number: int) -> Record:
    """Return a row as awkward as they come."""
    arm = chance.choice(("base", "candidate"))
    user = min(int(chance.expovariate(0.3)), 12)
    wait = chance.choice((None, 40.0, 100.0, 100.0, 105.0, 110.0, 900.0, 1000.0, 1080.0, 5000.0))
    outcome = chance.choice(
        ("ok",) * 8
        + ("upstream_error", "timeout", "malformed", "client_cancelled", "client_error", "rejected")
        + ("shed", "interrupted")
    )
    facts: dict[str, Any] = {
        "started_at": AT_US + chance.randrange(2 * DAY_US),
        "outcome": outcome,
        "arm_assigned": chance.choice((arm,) * 20 + (None,)),
        "arm_served": chance.choice((arm,) * 9 + ("base",)),
        "user_hash": chance.choice((user.to_bytes(16),) * 20 + (None,)),
        "stream": chance.random() < 0.6,
        "latency_ms": None if outcome == "interrupted" else wait,
        "ttft_ms": chance.choice((None, 30.0, 40.0, 42.0, 44.0, 60.0)),
        "fallback_reason": chance.choice((None,) * 12 + ("timeout",)),
        "error_class": chance.choice((None,) * 12 + ("circuit_open",)),
        "cost_usd": chance.choice((None, 0.0, 0.000_15, 0.002)),
        "reason": chance.choice(("split",) * 12 + ("stale", "targeting_match", "default")),
        "bucket": chance.choice((7,) * 20 + (None,)),
        "purpose": chance.choice(("live",) * 20 + ("shadow", "eval")),
        "percent": chance.choice((10.0,) * 12 + (5.0,)),
        "step": chance.choice((3,) * 12 + (2, 4)),
        "generation": chance.choice((2,) * 20 + (1,)),
        "rollout": chance.choice(("chat",) * 20 + ("other",)),
        "application": chance.choice(("shop", "shop", "desk")),
    }
    return gate_row(number, **facts, request_id=uuid7(facts["started_at"], number.to_bytes(10)))


def said_of(chance: random.Random, number: int, one: Record) -> dict[str, Any]:
    received_at = one.started_at + chance.choice((1, 3600, 40 * 3600, 49 * 3600)) * 1_000_000
    by_answer = chance.random() < 0.3
    what = chance.choice(({"thumb": "up"}, {"thumb": "down"}, {"rating": chance.randint(1, 5)}, {"signal": "copied"}))
    return {
        "feedback_id": f"0199b0c0-0000-7000-8fff-{number:012x}",
        "received_at": received_at,
        "application": chance.choice((one.application,) * 8 + ("foreign",)),
        "request_id": None if by_answer else one.request_id,
        "response_id": one.response_id if by_answer else None,
        **what,
    }
