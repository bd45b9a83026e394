"""The head-to-head table once more, from the lake's rows and in plain Python: as far from the product as can be.

DuckDB only reads the files; every number is computed by loops over dicts. `docs/reports.md` is what both follow.
"""

from __future__ import annotations

import itertools
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
QUANTILES = {"latency_p50_ms": 0.5, "latency_p99_ms": 0.99, "ttft_p50_ms": 0.5}
LOGITS = (-3.2, -1.6, -0.8, -0.4, -0.2, -0.1, -0.05, -0.02, 0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""At how many logits from a quantile's level its neighbours are read."""
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
            **{name: _quantiles_apart(arms["base"][name], arms["candidate"][name]) for name in QUANTILES},
            **_differences(
                *({name: list(seen) for name, seen in _seen(rows, positive, side)} for rows in sides.values())
            ),
        },
    }


def recompute_satisfaction(
    requests: Iterable[Row], feedback: Iterable[Row], rollout: str, keep: Callable[[Row], bool] = lambda _: True
) -> dict[str, Any]:
    """Return the numbers of the report on satisfaction in the shape of its JSON."""
    once = {row["request_id"]: row for row in requests}
    newest: dict[tuple[Any, str], Row] = {}
    for piece in {row["feedback_id"]: row for row in feedback}.values():
        kind = piece["signal"] if piece["thumb"] is None and piece["rating"] is None else "verdict"
        place = (_rated(once, piece), kind)
        if place[0] is not None and (place not in newest or _order(piece) > _order(newest[place])):
            newest[place] = piece
    heard: dict[Any, list[Row]] = defaultdict(list)
    for (request, _), piece in newest.items():
        heard[request].append(piece)
    counted = [
        row
        for row in once.values()
        if row["rollout"] == rollout and row["purpose"] == "live" and row["reason"] in {"split", "stale"} and keep(row)
    ]
    sides = {
        arm: [row for row in counted if row["arm_assigned"] == arm and row["bucket"] is not None]
        for arm in ("base", "candidate")
    }
    seen = {arm: _heard(rows, heard) for arm, rows in sides.items()}
    return {
        **{
            arm: {
                "requests": len(rows),
                "users": len({row["user_hash"] for row in rows}),
                "answers": sum(row["outcome"] == "ok" for row in rows),
                "levels": dict(Counter(int(value) for _, value, _ in seen[arm]["stars"])),
                **{name: _figure(_ratio(each), 9.0 if name == "stars" else 1.0) for name, each in seen[arm].items()},
            }
            for arm, rows in sides.items()
        },
        "difference": _differences(seen["base"], seen["candidate"]),
    }


def _heard(rows: Sequence[Row], heard: Mapping[Any, Sequence[Row]]) -> dict[str, list[Observed]]:
    found: dict[str, list[Observed]] = defaultdict(list)
    for row in rows:
        user, pieces = row["user_hash"], heard.get(row["request_id"], ())
        thumbs = [piece["thumb"] for piece in pieces if piece["thumb"]]
        stars = [piece["rating"] for piece in pieces if piece["rating"] and not piece["thumb"]]
        found["thumbs_up"] += [(user, float(thumb == "up"), 1) for thumb in thumbs]
        found["stars"] += [(user, rating, 1) for rating in stars]
        found["satisfaction"] += [
            (user, float(good), 1) for good in [*(one == "up" for one in thumbs), *(one > 3 for one in stars)]
        ]
        if row["outcome"] == "ok":
            found["response_rate"].append((user, float(bool(thumbs or stars)), 1))
            signals = {piece["signal"] for piece in pieces}
            for name in ("regenerated", "copied", "edited"):
                found[name].append((user, float(name in signals), 1))
    return found


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
    latencies = [(row["user_hash"], row["latency_ms"]) for row in ok if row["latency_ms"] is not None]
    ttfts = [(row["user_hash"], row["ttft_ms"]) for row in ok if row["stream"] and row["ttft_ms"] is not None]
    models = Counter(row["model_served"] for row in rows if row["arm_served"] == row[side])
    models.pop(None, None)
    most = max(models.values(), default=0)
    return {
        "model": max((model for model, times in models.items() if times == most), default=None),
        "requests": len(rows),
        "users": len({row["user_hash"] for row in rows}),
        "errors": len(failed),
        "failures": dict(Counter(row["error_class"] or row["fallback_reason"] or row["outcome"] for row in failed)),
        "latency_p50_ms": _wait(latencies, 0.5),
        "latency_p99_ms": _wait(latencies, 0.99),
        "ttft_p50_ms": _wait(ttfts, 0.5),
        "total_cost_usd": math.fsum(costs) if costs else None,
        "total_cost_interval_usd": _total_interval(rows),
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


def _wait(waits: Sequence[tuple[bytes, float]], level: float) -> dict[str, Any]:
    """Return a quantile and the values at the ends of the levels that it may really have (Woodruff)."""
    values = [value for _, value in waits]
    found = _quantile(values, level)
    nothing: dict[str, Any] = {"value": found, "of": len(values), "low": None, "high": None}
    if found is None:
        return nothing
    _, _, error = _ratio((user, float(value > found), 1) for user, value in waits)
    odds = level / (1 - level)
    known = [(odds * math.exp(away) / (1 + odds * math.exp(away)), away) for away in LOGITS]
    grid = [(at, _quantile(values, level if away == 0 else at) or 0.0) for at, away in known]
    ends: list[float] = []
    for sign in (-1, 1):
        wanted = level + sign * Z_95 * (error or math.inf)
        for (left, low), (right, high) in itertools.pairwise(grid):
            if left <= wanted < right:
                ends.append(low + (high - low) * (wanted - left) / (right - left))
    return nothing if len(ends) < 2 else {**nothing, "low": ends[0], "high": ends[1]}


def _quantiles_apart(base: Row, candidate: Row) -> dict[str, Any]:
    apart = _apart(base, candidate)
    if base["low"] is None or candidate["low"] is None:
        return apart
    down = math.sqrt((candidate["value"] - candidate["low"]) ** 2 + (base["high"] - base["value"]) ** 2)
    up = math.sqrt((candidate["high"] - candidate["value"]) ** 2 + (base["value"] - base["low"]) ** 2)
    times = candidate["value"] / base["value"]
    less = math.hypot(math.log(candidate["value"] / candidate["low"]), math.log(base["high"] / base["value"]))
    more = math.hypot(math.log(candidate["high"] / candidate["value"]), math.log(base["value"] / base["low"]))
    ends = {"low": apart["value"] - down, "high": apart["value"] + up}
    return {**apart, **ends, "ratio_low": times * math.exp(-less), "ratio_high": times * math.exp(more)}


def _total_interval(rows: Sequence[Row]) -> list[float] | None:
    """Return the total's interval: as many users, each costing what any of them did."""
    each: dict[bytes, float] = defaultdict(float)
    for row in rows:
        if row["cost_usd"] is not None:
            each[row["user_hash"]] += row["cost_usd"]
    total, users = math.fsum(each.values()), len(each)
    if users < 30:
        return None
    half = Z_95 * math.sqrt(users / (users - 1) * math.fsum((one - total / users) ** 2 for one in each.values()))
    return [max(0.0, total - half), total + half] if half else None


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
        elif not (got == wanted or _is_close(got, wanted)):
            yield f"{name}: the table says {got}, the lake's rows say {wanted}"


def _is_close(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return got is not None and all(map(_is_close, got, wanted))
    return _is_number(got) and _is_number(wanted) and math.isclose(got, wanted, rel_tol=1e-9, abs_tol=1e-12)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
