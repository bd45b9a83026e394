"""Records of everything that there is, drawn at random: arms, steps, fallbacks, unknown costs, direct models."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from analytics.record import Attempt, Record
from tests.fakes.handmade_lake import AT_US, record

SALES = "sales-companion"
_OUTCOMES = ("ok",) * 12 + (
    "upstream_error",
    "timeout",
    "malformed",
    "client_cancelled",
    "client_error",
    "rejected",
    "shed",
    "interrupted",
)
_CLASSES = {"upstream_error": "http_503", "timeout": "first_byte_timeout", "malformed": "not_json"}
_STEPS = {1: 0.0, 2: 25.0, 3: 50.0}
_NEVER_SENT = {"rejected", "shed", "interrupted"}


def mixed(rng: random.Random, number: int, *, apart_s: float = 300.0) -> Record:
    """Return one request of some user, application and model; numbers are `apart_s` seconds apart on average."""
    if rng.random() < 0.15:
        return _direct(rng, number, apart_s)
    user = rng.randrange(200)
    step = rng.choice((1, 2, 2, 3, 3, 3))
    bucket = (user * 7919) % 10_000
    reason = rng.choice(("split",) * 15 + ("stale", "targeting_match", "default"))
    candidate = reason != "default" and bucket < _STEPS[step] * 100
    arm = "candidate" if candidate else "base"
    known = user and reason != "default"
    facts: dict[str, Any] = {
        "rollout": rng.choice((SALES,) * 5 + ("support",)),
        "generation": rng.choice((1, 1, 1, 2)),
        "step": step,
        "percent": _STEPS[step] if rng.random() < 0.97 else 10.0,
        "bucket": bucket if known else None,
        "user_hash": user.to_bytes(16) if known else None,
        "user_source": rng.choice(("user", "header")) if known else None,
        "arm_assigned": arm if rng.random() < 0.99 else "base",
        "reason": reason if known else "default",
    }
    return _sent(rng, _record(rng, number, apart_s, facts), facts["arm_assigned"])


def _direct(rng: random.Random, number: int, apart_s: float) -> Record:
    return _sent(rng, _record(rng, number, apart_s, {"user_hash": rng.randrange(50).to_bytes(16)}), None)


def _record(rng: random.Random, number: int, apart_s: float, facts: dict[str, Any]) -> Record:
    return record(
        number,
        started_at=AT_US + round((number + rng.random()) * apart_s * 1e6),
        application=rng.choice(("web", "mobile", "batch", None)),
        endpoint=rng.choice(("chat.completions", "chat.completions", "embeddings")),
        purpose=rng.choice(("live",) * 12 + ("eval", "shadow")),
        model_requested=SALES,
        **facts,
    )


def _sent(rng: random.Random, opened: Record, arm: Any) -> Record:
    """Settle a request: with no try at all, or with one, two or three."""
    outcome = rng.choice(_OUTCOMES)
    if outcome in _NEVER_SENT:
        return _with(opened, outcome=outcome, status=429, error_class="queue_full", cost_unknown="no_usage")
    model = {"base": "gpt", "candidate": "tuned", None: "direct"}[arm]
    served, tries, reason = arm, list[Attempt](), None
    if rng.random() < 0.1:
        tries.append(_try(rng, arm, model, None, "connect_refused"))
    if arm == "candidate" and rng.random() < 0.15:
        reason = rng.choice(("timeout", "upstream_error", "circuit_open"))
        if reason != "circuit_open":
            tries.append(_try(rng, arm, model, 503 if reason == "upstream_error" else None, reason))
        served, model = "base", "gpt"
    failure = _CLASSES.get(outcome) or ("http_400" if outcome == "client_error" else None)
    status = 200 if outcome == "ok" else 400 if outcome == "client_error" else 502
    tries.append(_try(rng, served, model, status, failure))
    costs = [one.cost_usd for one in tries]
    cost = None if None in costs or outcome == "client_cancelled" else sum(one for one in costs if one is not None)
    return _with(
        opened,
        outcome=outcome,
        status=status,
        error_class=failure,
        attempts=tries,
        fallback_reason=reason,
        arm_served=served,
        model_served=model,
        upstream=tries[-1].upstream,
        cost_usd=cost,
        cost_unknown=None if cost is not None else rng.choice(("no_usage", "no_price", None)),
    )


def _try(rng: random.Random, arm: Any, model: str, status: int | None, failure: str | None) -> Attempt:
    usd = {"tuned": 0.001, "gpt": 0.002, "direct": 0.003}[model] * rng.lognormvariate(0, 0.5)
    return Attempt(
        arm=arm,
        model=model,
        upstream=rng.choice(("east", "west")),
        status=status,
        error_class=failure,
        upstream_ms=rng.random() * 100,
        cost_usd=None if rng.random() < 0.02 else 0.0 if failure else usd,
    )


def _with(opened: Record, **facts: Any) -> Record:
    return msgspec.structs.replace(opened, **facts)
