"""Requests and feedback of two arms with a bit of everything: ties, NULLs, fallbacks, foreign and double feedback."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

from analytics.record import Record
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record
from tests.fakes.recomputation import read_lake

NAME = "sales-companion"


def split(number: int, arm: str, **facts: Any) -> Record:
    """Return an ok request that the split gave to an arm; each has a user of its own unless told."""
    known = {
        "rollout": NAME,
        "generation": 1,
        "percent": 25.0,
        "bucket": 100,
        "arm_assigned": arm,
        "arm_served": arm,
        "reason": "split",
        "user_hash": number.to_bytes(16),
        "application": "default",
        "model_served": {"base": "gpt", "candidate": "tuned"}[arm],
    }
    return record(number, **{**known, **facts})


def said(number: int, target: Record, after_s: float = 1.0, **facts: Any) -> dict[str, Any]:
    """Return feedback on a request, some seconds after it."""
    at = target.started_at + round(after_s * 1e6)
    known = {"feedback_id": UUID(int=number), "application": "default", "request_id": UUID(target.request_id)}
    return {**known, "received_at": at, **facts}


def noise(rng: random.Random) -> Callable[[int], Record]:
    outcomes = ("ok",) * 12 + ("upstream_error", "timeout", "client_cancelled", "client_error", "rejected", "shed")

    def draw(number: int) -> Record:
        arm = rng.choice(("base", "base", "candidate"))
        outcome, stream = rng.choice(outcomes), rng.random() < 0.5
        return split(
            number,
            arm,
            outcome=outcome,
            endpoint=rng.choice(("chat.completions", "chat.completions", "embeddings", "images.generations", None)),
            user_hash=rng.randrange(80).to_bytes(16),
            stream=stream,
            latency_ms=rng.lognormvariate(4, 1),
            ttft_ms=rng.lognormvariate(3, 1) if stream and rng.random() < 0.9 else None,
            output_ms=rng.lognormvariate(4, 1) if stream and rng.random() < 0.9 else None,
            error_class=rng.choice(("http_500", "connect", None)) if outcome == "upstream_error" else None,
            arm_served=rng.choice((arm, arm, arm, "base", None)),
            output_tokens=max(0, rng.randrange(500) - 50) if rng.random() < 0.9 else None,
            cost_usd=rng.random() / 100 if rng.random() < 0.9 else None,
            fallback_reason="timeout" if arm == "candidate" and rng.random() < 0.05 else None,
            reason=rng.choice(("split",) * 9 + ("stale", "targeting_match", "default")),
            purpose=rng.choice(("live",) * 9 + ("eval",)),
            percent=rng.choice((10.0, 25.0, 50.0)),
            step=rng.choice((1, 2, 10)),
            phase=rng.choice(("canary", "beta")),
            application=rng.choice(("default", "default", "shop", "", "a=b")),
            tags=rng.choice(({}, {"team": "red"}, {"team": "blue", "note": ""}, {"team": "red", "note": "a=b 'c'"})),
            started_at=AT_US + rng.randrange(3 * 86_400) * 1_000_000,
        )

    return draw


def fill_varied(lake: HandmadeLake, seed: int, most: int = 1500) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Put random requests, some twice, and random feedback on them; return the lake's rows."""
    rng = random.Random(seed)
    requests = [*map(noise(rng), range(1, most + 1))]
    lake.put(requests[: most // 2])
    lake.put(requests[most // 3 :])
    rated = [said(number, rng.choice(requests), rng.random() * 60, rating=rng.randrange(1, 6)) for number in range(300)]
    thumbs = [said(999 + number, rng.choice(requests), thumb=rng.choice(("up", "down"))) for number in range(300)]
    signals = [
        said(
            2999 + number,
            rng.choice(requests),
            rng.random() * 2e5,
            signal=rng.choice(("regenerated", "copied", "edited")),
        )
        for number in range(300)
    ]
    both = [said(3999 + number, rng.choice(requests), thumb="up", signal="copied") for number in range(50)]
    pieces = [{**piece, "application": rng.choice(("default", "shop"))} for piece in (*rated, *thumbs, *signals, *both)]
    lake.put_feedback(pieces)
    rows, feedback = read_lake(lake.root)
    return [dict(row) for row in rows], [dict(row) for row in feedback]
