"""The head-to-head table once more, from the lake's rows and in plain Python: as far from the product as can be.

DuckDB only reads the files; every number is computed by loops over dicts. `docs/reports.md` is what both follow.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

Row = Mapping[str, Any]

FAILURES = {"upstream_error", "timeout", "malformed", "interrupted"}
NEVER_PAID = {"client_error", "rejected", "shed"}
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
    requests: Iterable[Row], feedback: Iterable[Row], rollout: str, generation: int, step: int | None = None
) -> dict[str, Any]:
    """Return the numbers of the table in the shape of its JSON."""
    once = {row["request_id"]: row for row in requests}
    mine = [row for row in once.values() if (row["rollout"], row["generation"]) == (rollout, generation)]
    if step is not None:
        mine = [row for row in mine if row["step"] == step]
    live = [row for row in mine if row["purpose"] == "live"]
    counted = [row for row in live if row["reason"] in {"split", "stale"} and row["bucket"] is not None]
    positive = _ratings(once, feedback)
    forced = [row for row in live if row["reason"] == "targeting_match"]
    percents = [float(row["percent"]) for row in counted if row["percent"] is not None]
    return {
        "rollout": rollout,
        "generation": generation,
        "endpoints": dict(Counter(row["endpoint"] for row in counted if row["endpoint"] is not None)),
        "percent_low": min(percents, default=None),
        "percent_high": max(percents, default=None),
        "left_out": {
            "forced": len(forced),
            "not_live": len(mine) - len(live),
            "without_user": len(live) - len(counted) - len(forced),
        },
        **{
            arm: _arm([row for row in counted if row["arm_assigned"] == arm], positive) for arm in ("base", "candidate")
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
    fitting = [
        name
        for name in named
        if requests[name]["application"] == piece["application"]
        and piece["received_at"] <= requests[name]["started_at"] + timedelta(hours=48)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _order(piece: Row) -> tuple[Any, Any]:
    return piece["received_at"], piece["feedback_id"]


def _arm(rows: Sequence[Row], positive: Mapping[Any, bool]) -> dict[str, Any]:
    ok = [row for row in rows if row["outcome"] == "ok"]
    judged = [(row, _failed(row)) for row in rows if _failed(row) is not None]
    costs = [row for row in rows if row["cost_usd"] is not None]
    rated = [row for row in rows if row["request_id"] in positive]
    latencies = [row["latency_ms"] for row in ok if row["latency_ms"] is not None]
    ttfts = [row["ttft_ms"] for row in ok if row["stream"] and row["ttft_ms"] is not None]
    tokens = [
        row for row in ok if row["output_tokens"] or (row["output_tokens"] == 0 and row["endpoint"] in GENERATING)
    ]
    models = Counter(row["model_served"] for row in rows if row["arm_served"] == row["arm_assigned"])
    return {
        "model": models.most_common(1)[0][0] if models else None,
        "requests": len(rows),
        "users": len({row["user_hash"] for row in rows}),
        "errors": sum(failed or 0 for _, failed in judged),
        "error_rate": _ratio((row["user_hash"], float(failed or 0)) for row, failed in judged),
        "latency_p50_ms": {"value": _quantile(latencies, 0.5), "of": len(latencies)},
        "latency_p99_ms": {"value": _quantile(latencies, 0.99), "of": len(latencies)},
        "ttft_p50_ms": {"value": _quantile(ttfts, 0.5), "of": len(ttfts)},
        "output_tokens": _ratio([(row["user_hash"], row["output_tokens"]) for row in tokens], math.inf),
        "cost_usd": _ratio([(row["user_hash"], row["cost_usd"]) for row in costs], math.inf),
        "total_cost_usd": math.fsum(row["cost_usd"] for row in costs) if costs else None,
        "cost_unknown": sum(row["cost_usd"] is None and row["outcome"] not in NEVER_PAID for row in rows),
        "ratings": len(rated),
        "satisfaction": _ratio((row["user_hash"], float(positive[row["request_id"]])) for row in rated),
        "response_rate": _ratio((row["user_hash"], float(row["request_id"] in positive)) for row in ok),
    }


def _failed(row: Row) -> int | None:
    if row["fallback_reason"] is not None or row["error_class"] == "circuit_open" or row["outcome"] in FAILURES:
        return 1
    return 0 if row["outcome"] == "ok" else None


def _quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value at `share` of the way through the sorted values, between two neighbours if need be."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _ratio(observed: Iterable[tuple[bytes, float]], most: float = 1.0) -> dict[str, Any]:
    """Return the mean of what was observed, and by the residuals of each user how far it may be off."""
    by_user: dict[bytes, list[float]] = defaultdict(list)
    for user, value in observed:
        by_user[user].append(value)
    count = sum(map(len, by_user.values()))
    if not count:
        return {"value": None, "of": 0}
    mean = math.fsum(value for values in by_user.values() for value in values) / count
    residuals = [math.fsum(values) - mean * len(values) for values in by_user.values()]
    users = len(by_user)
    if users < 30 or not any(abs(residual) > 1e-9 for residual in residuals):
        return {"value": mean, "of": count, "low": None, "high": None}
    half = 1.959963984540054 * math.sqrt(users / (users - 1) * math.fsum(one * one for one in residuals)) / count
    return {"value": mean, "of": count, "low": max(0.0, mean - half), "high": min(most, mean + half)}


def same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each number that is not the one expected."""
    for name, wanted in expected.items():
        got = found[name]
        if isinstance(wanted, Mapping):
            yield from (f"{name}.{line}" for line in same(got, wanted))
        elif not (
            got == wanted or (_is_number(got) and _is_number(wanted) and math.isclose(got, wanted, rel_tol=1e-9))
        ):
            yield f"{name}: the table says {got}, the lake's rows say {wanted}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
