"""Quantiles of callers' waits by arm, and the grids of levels around them, from which their intervals come.

The law: they are those of all waits, sorted. Of some millions of requests the waits are kept in memory, which is
faster; of more they are counted in bins first, and only those near a level are kept. Both give the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analytics.inversion import levels
from analytics.ranks import Place, places, quantiles
from analytics.warehouse.database import Answers

MOST_KEPT = 16_000_000
"""Of more requests the waits are not kept: the two of a request take some 25 bytes."""

_MEDIAN, _TAIL = levels(0.5), levels(0.99)
_LEVELS = {"latency_ms": [*_MEDIAN, *_TAIL], "ttft_ms": _MEDIAN}

Grids = Mapping[str, Sequence[float] | None]
"""The values at `inversion.levels` around each of `QUANTILES`, rising; None: there are no waits."""


def grids_of(warehouse: Answers, parameters: Mapping[str, object], most_kept: int = MOST_KEPT) -> Mapping[str, Grids]:
    """Return the grids of each arm that answered any request; `parameters` are those of the macro `arms`.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    [asked] = warehouse.ask("how_many", parameters)
    find = _kept if asked["requests"] <= most_kept else _counted
    found = find(warehouse, parameters)
    return {arm: _named(each["latency_ms"], each["ttft_ms"]) for arm, each in found.items()}


def _kept(warehouse: Answers, parameters: Mapping[str, object]) -> Mapping[str, Grids]:
    """Return the values at `_LEVELS` of each arm's waits, all of which are kept in memory."""
    levels_of = {f"{metric.removesuffix('_ms')}_levels": each for metric, each in _LEVELS.items()}
    return {row["arm"]: row for row in warehouse.ask("wait_levels", {**parameters, **levels_of})}


def _counted(warehouse: Answers, parameters: Mapping[str, object]) -> Mapping[str, Grids]:
    """Return the same, of waits that are counted; only values near the levels are kept in memory."""
    counts: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row in warehouse.ask("wait_bins", parameters):
        counts.setdefault((row["arm"], row["metric"]), []).append((row["bin"], row["requests"]))
    wanted = {
        (arm, metric, *place)
        for (arm, metric), each in counts.items()
        for pair in places(_LEVELS[metric], each)
        for place in pair
    }
    names = ("arm", "metric", "bin", "rank")
    asked_for = [dict(zip(names, one, strict=True)) for one in sorted(wanted)]
    near: dict[tuple[str, str], dict[Place, float]] = {}
    for row in warehouse.ask("wait_ranks", {**parameters, "wanted": asked_for}) if asked_for else ():
        near.setdefault((row["arm"], row["metric"]), {})[row["bin"], row["rank"]] = row["wait_ms"]
    found: dict[str, dict[str, Sequence[float] | None]] = {}
    for (arm, metric), each in counts.items():
        values = quantiles(_LEVELS[metric], each, near.get((arm, metric), {}))
        found.setdefault(arm, dict.fromkeys(_LEVELS))[metric] = values
    return found


def _named(latency_ms: Sequence[float] | None, ttft_ms: Sequence[float] | None) -> Grids:
    """Return an arm's grids by the names of `QUANTILES`."""
    median, tail = (latency_ms[: len(_MEDIAN)], latency_ms[len(_MEDIAN) :]) if latency_ms else (None, None)
    return {"latency_p50_ms": median, "latency_p99_ms": tail, "ttft_p50_ms": ttft_ms}
