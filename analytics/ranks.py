"""Quantiles of more values than fit into memory: bins of nearly equal ones are counted, then few are read. Pure.

The law: the answer is the one that all values, sorted, would give. A quantile lies between two of them (quantile_cont);
the counts say in which bins those are, and which ranks they have there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Place = tuple[int, int]
"""A value's bin, and its rank there (1: the least)."""


def places(levels: Sequence[float], counts: Sequence[tuple[int, int]]) -> list[tuple[Place, Place]]:
    """Return the places of the two values between which each level's quantile lies.

    `counts`: bins that have values, rising, and how many; `levels`: 0-1.
    """
    total = sum(count for _, count in counts)
    ranks = sorted({rank for level in levels for rank in _around(level, total)}) if total else []
    found: dict[int, Place] = {}
    before, bins = 0, iter(counts)
    number, count = next(bins, (0, 0))
    for rank in ranks:
        while rank >= before + count:
            before += count
            number, count = next(bins)
        found[rank] = (number, rank - before + 1)
    return [(found[low], found[high]) for low, high in (_around(level, total) for level in levels)] if total else []


def quantiles(
    levels: Sequence[float], counts: Sequence[tuple[int, int]], values: Mapping[Place, float]
) -> list[float] | None:
    """Return the quantile of each level, from the values at their `places`; None where there are no values at all."""
    total = sum(count for _, count in counts)
    if not total:
        return None
    return [
        values[low] + (values[high] - values[low]) * ((total - 1) * level % 1)
        for level, (low, high) in zip(levels, places(levels, counts), strict=True)
    ]


def _around(level: float, total: int) -> tuple[int, int]:
    """Return the ranks, from 0, of the two values around a level."""
    at = (total - 1) * level
    return math.floor(at), math.ceil(at)
