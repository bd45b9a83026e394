"""What `analytics/warehouse/evidence.py` must say, from records and feedback in plain Python: slow and obvious."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analytics.evidence import ArmSums, CheckSums, FailingUsers, StepWindow
from analytics.figures import ClusterSums
from analytics.record import Record

_REFUSED = ("client_error", "rejected", "shed")
_BROKEN = ("upstream_error", "timeout", "malformed", "interrupted")
_LIMIT_US = 48 * 3600 * 1_000_000
Piece = Mapping[str, Any]
Facts = tuple[float, float, float]
"""x, y, and 1 where the request is an event."""


def gate_rows(records: Iterable[Record], window: StepWindow) -> list[Record]:
    return [
        one
        for one in records
        if (one.rollout, one.generation, one.step) == (window.rollout, window.generation, window.step)
        and one.percent == window.percent
        and one.purpose == "live"
        and one.bucket is not None
        and one.reason in ("split", "stale")
        and one.user_hash is not None
        and one.arm_assigned is not None
    ]


def verdicts(records: Sequence[Record], pieces: Iterable[Piece]) -> dict[str, Piece]:
    """Return by request the verdict that counts."""
    by_id = {one.request_id: one for one in records}
    by_answer: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        if one.response_id is not None:
            by_answer[one.response_id].append(one)
    newest: dict[str, Piece] = {}
    for piece in pieces:
        if piece.get("thumb") is None and piece.get("rating") is None:
            continue
        if piece.get("request_id") is not None:
            found = by_id.get(piece["request_id"])
        else:
            named = by_answer.get(piece["response_id"], [])
            found = named[0] if len(named) == 1 else None
        if found is None or found.application != piece["application"]:
            continue
        if piece["received_at"] > found.started_at + _LIMIT_US:
            continue
        known = newest.get(found.request_id)
        if known is None or _age(piece) > _age(known):
            newest[found.request_id] = piece
    return newest


def _age(piece: Piece) -> tuple[int, str]:
    return piece["received_at"], piece["feedback_id"]


def _errors(one: Record) -> Facts | None:
    if one.fallback_reason is not None or one.error_class == "circuit_open" or one.outcome in _BROKEN:
        return 1, 0, 1
    return (0, 0, 0) if one.outcome == "ok" else None


def _wait(one: Record) -> float | None:
    return math.inf if one.latency_ms is None and one.outcome == "timeout" else one.latency_ms


def _latency(one: Record, q0: float, limit: float) -> Facts | None:
    wait = _wait(one)
    if wait is None:
        return None
    if one.outcome == "ok" or (one.outcome not in _REFUSED and wait > q0):
        return float(wait > q0), float(wait > limit), float(wait > q0)
    return None


def _ttft(one: Record, q0: float, limit: float) -> Facts | None:
    if not one.stream:
        return None
    wait = one.ttft_ms if one.ttft_ms is not None else _wait(one)
    if wait is None:
        return None
    is_known = one.outcome == "ok" and one.ttft_ms is not None
    if is_known or (one.outcome not in _REFUSED and wait > q0):
        return float(wait > q0), float(wait > limit), float(wait > q0)
    return None


def _score(piece: Piece) -> float:
    return float(piece["thumb"] == "up") if piece.get("thumb") else (piece["rating"] - 1) / 4


def _kind(piece: Piece) -> str:
    return "thumb" if piece.get("thumb") else "rating"


def facts(one: Record, check: str, window: StepWindow, verdict: Piece | None) -> Facts | None:
    """Return what a gate row counts for; None: it does not enter."""
    if check == "errors":
        return _errors(one)
    limits = {str(name): pair for name, pair in window.thresholds.items()}
    if check in limits:
        return (_ttft if check == "ttft" else _latency)(one, *limits[check])
    if check == "satisfaction":
        bad = 1 - _score(verdict) if verdict is not None and _kind(verdict) == window.rating else None
        return None if bad is None else (bad, 0, float(bad >= 0.5))
    if check == "feedback":
        return (float(verdict is not None), 0, float(verdict is not None)) if one.outcome == "ok" else None
    return None if one.cost_usd is None else (one.cost_usd, 0, 0)


def check_sums(records: Sequence[Record], pieces: Sequence[Piece], window: StepWindow, check: str) -> CheckSums:
    """Return both arms' sums of a check."""
    said = verdicts(records, pieces)
    users: dict[str, dict[bytes, list[float]]] = {"base": {}, "candidate": {}}
    for one in gate_rows(records, window):
        found = facts(one, check, window, said.get(one.request_id))
        if found is not None:
            user = users[str(one.arm_assigned)].setdefault(one.user_hash or b"", [0.0, 0.0, 0.0, 0.0])
            for at, value in enumerate((1.0, *found)):
                user[at] += value
    cap = max(1.0, _quantile([user[0] for user in users["base"].values()], 0.95))
    has_y = check in ("p50", "p99", "ttft")
    return CheckSums(
        cap=cap,
        base=_arm(users["base"].values(), cap, has_y=has_y),
        candidate=_arm(users["candidate"].values(), cap, has_y=has_y),
    )


def _quantile(values: Sequence[float], q: float) -> float:
    if not values:
        return 1.0
    known = sorted(values)
    place = q * (len(known) - 1)
    low = math.floor(place)
    high = min(low + 1, len(known) - 1)
    return known[low] + (known[high] - known[low]) * (place - low)


def _arm(users: Iterable[Sequence[float]], cap: float, *, has_y: bool) -> ArmSums:
    known = list(users)
    weighed = [(min(1.0, cap / n), n, x, y) for n, x, y, _ in known]
    n_of = [w * n for w, n, _, _ in weighed]
    return ArmSums(
        requests=round(sum(n for n, *_ in known)),
        events=round(sum(events for *_, events in known)),
        x=_sums(n_of, [w * x for w, _, x, _ in weighed]),
        y=_sums(n_of, [w * y for w, _, _, y in weighed]) if has_y else None,
    )


def _sums(n: Sequence[float], x: Sequence[float]) -> ClusterSums:
    return ClusterSums(
        users=len(n),
        n=math.fsum(n),
        x=math.fsum(x),
        xx=math.fsum(one * one for one in x),
        xn=math.fsum(one * of for one, of in zip(x, n, strict=True)),
        nn=math.fsum(of * of for of in n),
    )


def failing(records: Sequence[Record], window: StepWindow, now: int) -> tuple[FailingUsers, ...]:
    """Return the users who failed, since the step began and in the hour of `now`."""
    hour_at = now // round(window.hour_s * 1_000_000) * round(window.hour_s * 1_000_000)
    rows = gate_rows(records, window)

    def users(kind: str, arm: str, since: float) -> int:
        found = [one for one in rows if one.arm_assigned == arm and _is_failing(one, kind)]
        return len({one.user_hash for one in found if one.started_at + (one.latency_ms or 0) * 1000 >= since})

    return tuple(
        FailingUsers(
            kind=kind,
            base=users(kind, "base", -math.inf),
            candidate=users(kind, "candidate", -math.inf),
            hour_base=users(kind, "base", hour_at),
            hour_candidate=users(kind, "candidate", hour_at),
        )
        for kind in ("failure", "client_error")
    )


def _is_failing(one: Record, kind: str) -> bool:
    found = _errors(one)
    return one.outcome == "client_error" if kind == "client_error" else found is not None and found[0] == 1


def drift(records: Sequence[Record], pieces: Sequence[Piece], window: StepWindow, check: str, now: int) -> float | None:
    """Return the lowest correlation, over past midnights, of what users had gained by then with what they gained since.

    A user's requests and badness are those of the cap at the time, as a look then would have weighed them.
    """
    day_us = round(window.day_s * 1_000_000)
    midnights = range(window.started_at // day_us + 1, now // day_us + 1)
    users = _capped(records, pieces, window, check, math.inf)
    arms = {arm: [sums for (of, _), sums in users.items() if of == arm] for arm in ("base", "candidate")}
    if not all(arms.values()):
        return None
    totals = {arm: (math.fsum(n for n, _ in some), math.fsum(x for _, x in some)) for arm, some in arms.items()}
    weights = {"candidate": 1.0, "base": totals["candidate"][0] / totals["base"][0]}
    found: list[float] = []
    for midnight in midnights:
        then = _capped(records, pieces, window, check, midnight * day_us)
        a_of, b_of = [], []
        for (arm, user), (n, x) in users.items():
            rate = totals[arm][1] / totals[arm][0]
            n_then, x_then = then.get((arm, user), (0.0, 0.0))
            a_of.append(weights[arm] * (x_then - rate * n_then))
            b_of.append(weights[arm] * (x - rate * n))
        since = [b - a for a, b in zip(a_of, b_of, strict=True)]
        scale = math.sqrt(math.fsum(a * a for a in a_of)) * math.sqrt(math.fsum(c * c for c in since))
        if scale:
            found.append(math.fsum(a * c for a, c in zip(a_of, since, strict=True)) / scale)
    return min(found, default=None)


def _capped(
    records: Sequence[Record], pieces: Sequence[Piece], window: StepWindow, check: str, before: float
) -> dict[tuple[str, bytes], tuple[float, float]]:
    said = verdicts(records, pieces)
    users: dict[tuple[str, bytes], list[float]] = {}
    for one in gate_rows(records, window):
        found = facts(one, check, window, said.get(one.request_id)) if one.started_at < before else None
        if found is not None:
            user = users.setdefault((str(one.arm_assigned), one.user_hash or b""), [0.0, 0.0])
            user[0] += 1
            user[1] += found[0]
    cap = max(1.0, _quantile([n for (arm, _), (n, _) in users.items() if arm == "base"], 0.95))
    return {who: (min(1.0, cap / n) * n, min(1.0, cap / n) * x) for who, (n, x) in users.items()}
