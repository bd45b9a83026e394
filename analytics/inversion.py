"""Intervals of quantiles, users as clusters, and of their differences and ratios. Pure.

How many requests lie beyond the quantile is a share, whose clustered error the delta method gives; the levels at the
ends of the share's interval, turned back into values, are the quantile's (Woodruff 1952). Two such intervals give that
of a difference (MOVER: Zou, Donner 2008), of logarithms that of a ratio.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from analytics.figures import Z_95, ClusterSums, Difference, Figure, difference

_STEPS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""How far the levels of a grid lie from its middle, in logits: dense where large crowds' intervals end."""

MIDDLE = len(_STEPS)
"""Which value of a grid is the quantile itself."""


def levels(quantile: float) -> list[float]:
    """Return the levels (0-1, rising) at which a quantile's neighbourhood is read; its own is the `MIDDLE` one."""
    lower, upper = ([_moved(quantile, sign * step) for step in _STEPS] for sign in (-1, 1))
    return [*reversed(lower), quantile, *upper]


def quantile_figure(quantile: float, grid: Sequence[float | None] | None, of: int, beyond: ClusterSums) -> Figure:
    """Return a quantile of `of` observations with its interval.

    `grid`: its values at `levels(quantile)`; `beyond`: sums over users of x = 1 for each observation above it. There is
    no interval where the share's error is not known, or where it ends beyond the grid.
    """
    value = grid[MIDDLE] if grid else None
    if value is None or not grid:
        return Figure(value=None, of=of)
    error, known = beyond.error, [one for one in grid if one is not None]
    if error is None or len(known) < len(grid):
        return Figure(value=value, of=of)
    at = levels(quantile)
    low, high = (_value_at(quantile + sign * Z_95 * error, at, known) for sign in (-1, 1))
    return Figure(value=value, of=of) if low is None or high is None else Figure(value=value, of=of, low=low, high=high)


def quantile_difference(base: Figure, candidate: Figure) -> Difference:
    """Return candidate minus base, and their ratio, with the intervals that both figures' intervals give."""
    plain = difference(base.value, candidate.value)
    if base.value is None or candidate.value is None:
        return plain
    if base.low is None or base.high is None or candidate.low is None or candidate.high is None:
        return plain
    ends = [(base.low, base.value, base.high), (candidate.low, candidate.value, candidate.high)]
    low, high = _apart(*ends)
    whole = msgspec.structs.replace(plain, low=low, high=high)
    if base.low <= 0 or candidate.low <= 0:
        return whole
    ratio_low, ratio_high = map(math.exp, _apart(*([math.log(part) for part in parts] for parts in ends)))
    return msgspec.structs.replace(whole, ratio_low=ratio_low, ratio_high=ratio_high)


def _moved(level: float, logits: float) -> float:
    return 1 / (1 + math.exp(-math.log(level / (1 - level)) - logits))


def _value_at(level: float, at: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the value at a level, linear between neighbours of the grid; None beyond its ends."""
    if not at[0] <= level <= at[-1]:
        return None
    above = min(bisect_right(at, level), len(at) - 1)
    low, high = above - 1, above
    return values[low] + (values[high] - values[low]) * (level - at[low]) / (at[high] - at[low])


def _apart(base: Sequence[float], candidate: Sequence[float]) -> tuple[float, float]:
    """Return the interval of candidate - base, each given as (low, value, high)."""
    (base_low, base_value, base_high), (low, value, high) = base, candidate
    between = value - base_value
    return (
        between - math.hypot(value - low, base_high - base_value),
        between + math.hypot(high - value, base_value - base_low),
    )
