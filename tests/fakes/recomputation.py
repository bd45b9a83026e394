"""The head-to-head table once more, from the lake's rows and in plain Python: as far from the product as can be.

DuckDB only reads the files; every number is computed by loops over dicts. `docs/reports.md` is what both follow.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

Row = Mapping[str, Any]
Observed = tuple[bytes, float, int]
"""A user, a sum, and how many things it is the sum of."""

FAILURES = {"upstream_error", "timeout", "malformed", "interrupted"}
NEVER_PAID = {"client_error", "rejected", "shed"}
QUANTILES = ("latency_p50_ms", "latency_p99_ms", "ttft_p50_ms")
SHARES: set[str] = {"error_rate", "satisfaction", "response_rate"}
Z_95 = 1.959963984540054
GENERATING = {"chat.completions", "completions", "responses"}


def read_lake(lake: Path) -> tuple[list[Row], list[Row]]:
    """Return the rows of requests and of feedback, each as often as it lies there."""
    return _rows(lake / "incoming"), _rows(lake / "incoming" / "feedback")


def _rows(folder: Path) -> list[Row]:
    found: list[Row] = []
    for path in sorted(folder.glob("*.parquet")):
        with duckdb.connect(":memory:") as connection:
            answer = connection.read_parquet(str(path))
            found += [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]
    return found


def recompute(
    requests: Iterable[Row],
    feedback: Iterable[Row],
    rollout: str,
    generation: int,
    step: int | None = None,
    *,
    keep: Callable[[Row], bool] = lambda _: True,
    purpose: str = "live",
    forced: bool = False,
    served: bool = False,
) -> dict[str, Any]:
    """Return the numbers of the table in the shape of its JSON, of the requests to `keep`; `served`: as treated."""
    once = {row["request_id"]: row for row in requests}
    mine = [row for row in once.values() if (row["rollout"], row["generation"]) == (rollout, generation) and keep(row)]
    if step is not None:
        mine = [row for row in mine if row["step"] == step]
    side = "arm_served" if served else "arm_assigned"
    live = [row for row in mine if row["purpose"] == purpose]
    reasons = {"split", "stale", *(["targeting_match"] if forced else [])}
    counted = [row for row in live if row["reason"] in reasons and row["bucket"] is not None]
    positive = _ratings(once, feedback)
    pinned = [row for row in live if row["reason"] == "targeting_match" and row not in counted]
    percents = [float(row["percent"]) for row in counted if row["percent"] is not None]
    sides = {arm: [row for row in counted if row[side] == arm] for arm in ("base", "candidate")}
    arms = {arm: _arm(rows, positive, side) for arm, rows in sides.items()}
    return {
        "rollout": rollout,
        "generation": generation,
        "endpoints": dict(Counter(row["endpoint"] for row in counted if row["endpoint"] is not None)),
        "percent_low": min(percents, default=None),
        "percent_high": max(percents, default=None),
        "left_out": {
            "forced": len(pinned),
            "not_live": len(mine) - len(live),
            "without_user": len(live) - len(counted) - len(pinned),
        },
        **arms,
        "difference": {
            **{name: _apart(arms["base"][name], arms["candidate"][name]) for name in QUANTILES},
            **_differences(
                *({name: list(seen) for name, seen in _seen(rows, positive, side)} for rows in sides.values())
            ),
        },
    }


def _ratings(requests: Mapping[Any, Row], feedback: Iterable[Row]) -> dict[Any, bool]:
    newest: dict[Any, Row] = {}
    for piece in {row["feedback_id"]: row for row in feedback}.values():
        request = _rated(requests, piece)
        if request is None or (piece["thumb"] is None and piece["rating"] is None):
            continue
        before = newest.get(request)
        if before is None or _order(piece) > _order(before):
            newest[request] = piece
    return {name: piece["thumb"] == "up" or (piece["rating"] or 0) >= 4 for name, piece in newest.items()}


def _rated(requests: Mapping[Any, Row], piece: Row) -> Any:
    """Return the id of the one request that feedback means, if it may."""
    if piece["request_id"] is not None:
        named = [piece["request_id"]] if piece["request_id"] in requests else []
    else:
        named = [name for name, row in requests.items() if row["response_id"] == piece["response_id"]]
    if len(named) != 1:
        return None
    request = requests[named[0]]
    is_late = piece["received_at"] > request["started_at"] + timedelta(hours=48)
    return None if is_late or request["application"] != piece["application"] else named[0]


def _order(piece: Row) -> tuple[Any, Any]:
    return piece["received_at"], piece["feedback_id"]


def _arm(rows: Sequence[Row], positive: Mapping[Any, bool], side: str) -> dict[str, Any]:
    ok = [row for row in rows if row["outcome"] == "ok"]
    failed = [row for row in rows if _failed(row, side)]
    costs = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
    latencies = [row["latency_ms"] for row in ok if row["latency_ms"] is not None]
    ttfts = [row["ttft_ms"] for row in ok if row["stream"] and row["ttft_ms"] is not None]
    models = Counter(row["model_served"] for row in rows if row["arm_served"] == row[side])
    models.pop(None, None)
    most = max(models.values(), default=0)
    return {
        "model": max((model for model, times in models.items() if times == most), default=None),
        "requests": len(rows),
        "users": len({row["user_hash"] for row in rows}),
        "errors": len(failed),
        "failures": dict(Counter(row["error_class"] or row["fallback_reason"] or row["outcome"] for row in failed)),
        "latency_p50_ms": {"value": _quantile(latencies, 0.5), "of": len(latencies)},
        "latency_p99_ms": {"value": _quantile(latencies, 0.99), "of": len(latencies)},
        "ttft_p50_ms": {"value": _quantile(ttfts, 0.5), "of": len(ttfts)},
        "total_cost_usd": math.fsum(costs) if costs else None,
        "cost_unknown": sum(row["cost_usd"] is None and row["outcome"] not in NEVER_PAID for row in rows),
        "ratings": sum(row["request_id"] in positive for row in rows),
        **{
            name: _figure(_ratio(seen), 1.0 if name in SHARES else math.inf)
            for name, seen in _seen(rows, positive, side)
        },
    }


def _seen(rows: Sequence[Row], positive: Mapping[Any, bool], side: str) -> Iterator[tuple[str, Iterable[Observed]]]:
    """Yield, for each figure that is a sum over a count, what was observed of whom."""
    ok = [row for row in rows if row["outcome"] == "ok"]
    judged = [row for row in rows if row["outcome"] == "ok" or _failed(row, side)]
    yield "error_rate", [(row["user_hash"], float(_failed(row, side)), 1) for row in judged]
    yield (
        "output_tokens",
        [
            (row["user_hash"], row["output_tokens"], 1)
            for row in ok
            if row["output_tokens"] or (row["output_tokens"] == 0 and row["endpoint"] in GENERATING)
        ],
    )
    yield (
        "output_token_ms",
        [
            (row["user_hash"], row["output_ms"], row["output_tokens"] - 1)
            for row in ok
            if row["stream"] and row["output_ms"] is not None and (row["output_tokens"] or 0) > 1
        ],
    )
    yield "cost_usd", [(row["user_hash"], row["cost_usd"], 1) for row in rows if row["cost_usd"] is not None]
    rated = [row for row in rows if row["request_id"] in positive]
    yield "satisfaction", [(row["user_hash"], float(positive[row["request_id"]]), 1) for row in rated]
    yield "response_rate", [(row["user_hash"], float(row["request_id"] in positive), 1) for row in ok]


def _failed(row: Row, side: str) -> bool:
    """Tell whether a request failed: for the arm that was assigned, also where a fallback rescued it."""
    rescued = side == "arm_assigned" and row["fallback_reason"] is not None
    return rescued or row["error_class"] == "circuit_open" or row["outcome"] in FAILURES


def _quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value at `share` of the way through the sorted values, between two neighbours if need be."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _ratio(seen: Iterable[Observed]) -> tuple[float | None, int, float | None]:
    """Return the ratio of what was observed, of how many, and by the residuals of each user its standard error."""
    by_user: dict[bytes, list[tuple[float, int]]] = defaultdict(list)
    for user, value, times in seen:
        by_user[user].append((value, times))
    count = sum(times for each in by_user.values() for _, times in each)
    if not count:
        return None, 0, None
    mean = math.fsum(value for each in by_user.values() for value, _ in each) / count
    residuals = [math.fsum(value - mean * times for value, times in each) for each in by_user.values()]
    users = len(by_user)
    if users < 30 or not any(abs(residual) > 1e-9 for residual in residuals):
        return mean, count, None
    return mean, count, math.sqrt(users / (users - 1) * math.fsum(one * one for one in residuals)) / count


def _figure(ratio: tuple[float | None, int, float | None], most: float) -> dict[str, Any]:
    mean, count, error = ratio
    if mean is None or error is None:
        return {"value": mean, "of": count, "low": None, "high": None}
    half = Z_95 * error
    return {"value": mean, "of": count, "low": max(0.0, mean - half), "high": min(most, mean + half)}


def _differences(base: Mapping[str, Iterable[Observed]], candidate: Mapping[str, Iterable[Observed]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in base:
        (one, _, one_error), (other, _, other_error) = _ratio(base[name]), _ratio(candidate[name])
        apart = _apart({"value": one}, {"value": other})
        if one is not None and other is not None and one_error is not None and other_error is not None:
            half = Z_95 * math.sqrt(one_error**2 + other_error**2)
            apart |= {"low": other - one - half, "high": other - one + half}
            if one > 0 and other > 0:
                wide = Z_95 * math.sqrt((one_error / one) ** 2 + (other_error / other) ** 2)
                middle = math.log(other / one)
                apart |= {"ratio_low": math.exp(middle - wide), "ratio_high": math.exp(middle + wide)}
        found[name] = apart
    return found


def _apart(base: Row, candidate: Row) -> dict[str, Any]:
    one, other = base["value"], candidate["value"]
    nothing: dict[str, Any] = dict.fromkeys(("value", "relative", "low", "high", "ratio", "ratio_low", "ratio_high"))
    if one is None or other is None:
        return nothing
    times = other / one if one else None
    return {**nothing, "value": other - one, "ratio": times, "relative": None if times is None else times - 1}


def same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each number that is not the one expected."""
    for name, wanted in expected.items():
        got = found[name]
        if isinstance(wanted, Mapping):
            yield from (f"{name}.{line}" for line in same(got, wanted))
        elif not (
            got == wanted
            or (_is_number(got) and _is_number(wanted) and math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-12))
        ):
            yield f"{name}: the table says {got}, the lake's rows say {wanted}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
