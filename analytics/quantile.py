"""By what factor is the candidate slower than base? Its interval comes from counts at a grid of factors. Pure.

Law: the ratio of quantiles is the factor r at which as many of the candidate's requests take longer than r·Q0 as of
base's take longer than Q0; its interval holds every r at which the two counts could be equal, by the same statistic
that PASS is judged by. So no density is estimated, and the printed bound agrees with the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from analytics.evidence import ArmSums, CheckSums
from analytics.figures import ClusterSums
from analytics.proof import PASS_Z, Proof, proof

GRID = tuple(2 ** (j / 20) for j in range(-20, 21))
"""Factors from a half to the double, 3.5 % apart."""


class LatencyRatio(msgspec.Struct, frozen=True, kw_only=True):
    """The candidate's quantile over base's, and its interval; 0.5 stands for 0.5 or below, 2 for 2 or above."""

    value: float
    low: float
    high: float


def latency_ratio(
    base: ArmSums, slower: Mapping[float, ClusterSums], *, multiplier: float = PASS_Z
) -> LatencyRatio | None:
    """Return the ratio of quantiles, from the candidate's sums of 1{L > r·Q0} for each factor r.

    `base` has x = 1{L > Q0}. Factors are those of `GRID`; with the margin's own among them, the upper bound is within
    the margin if and only if the look passes. Linear in ln r between them. `multiplier` of the standard error: 1.960 at
    looks, `safe_multiplier` between them. None where an arm has fewer than two users, or nothing of base is slower.
    """
    ordered = sorted(slower.items())
    looks = [found for _, sums in ordered if (found := _look(base, sums)) is not None]
    if not base.events or not looks or len(looks) < len(ordered):
        return None
    factors = [math.log(factor) for factor, _ in ordered]
    rates = [found.candidate - found.base for found in looks]
    errors = [multiplier * found.error for found in looks]
    upper = [rate + error for rate, error in zip(rates, errors, strict=True)]
    lower = [rate - error for rate, error in zip(rates, errors, strict=True)]
    return LatencyRatio(
        value=math.exp((_first(factors, rates) + _last(factors, rates)) / 2),
        low=math.exp(_first(factors, lower)),
        high=math.exp(_last(factors, upper)),
    )


def _look(base: ArmSums, slower: ClusterSums) -> Proof | None:
    candidate = ArmSums(requests=int(slower.n), events=int(slower.x), x=slower, y=slower)
    return proof(CheckSums(cap=1.0, base=base, candidate=candidate))


def _first(places: Sequence[float], heights: Sequence[float]) -> float:
    """Return where a falling line first is at 0 or below; an end where it never crosses."""
    at = next((k for k, height in enumerate(heights) if height <= 0), None)
    if at is None:
        return places[-1]
    return _between(places, heights, at - 1) if at else places[0]


def _last(places: Sequence[float], heights: Sequence[float]) -> float:
    """Return where a falling line last is at 0 or above; an end where it never crosses."""
    at = next((k for k in range(len(heights) - 1, -1, -1) if heights[k] >= 0), None)
    if at is None:
        return places[0]
    return _between(places, heights, at) if at + 1 < len(places) else places[-1]


def _between(places: Sequence[float], heights: Sequence[float], at: int) -> float:
    share = heights[at] / (heights[at] - heights[at + 1])
    return places[at] + share * (places[at + 1] - places[at])


def ratio_words(ratio: float) -> str:
    """Return a ratio, or a bound of its interval, as people read it: with two digits, or as off the grid."""
    if ratio <= GRID[0]:
        return "below 0.5"
    return "above 2" if ratio >= GRID[-1] else f"{ratio:.2f}"
