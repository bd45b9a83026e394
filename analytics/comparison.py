"""The head-to-head table of one rollout's arms: what each figure is made of, and its interval. Pure.

SQL counts; here it becomes figures. A figure that nothing was observed for is None, never 0. An interval holds the true
value in 95 of 100 cases; it takes each user as one draw, because a user's requests are alike (the delta method for
ratios of sums clustered by user: Deng, Knoblich, Lu 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from analytics.freshness import UNKNOWN, Freshness

Z_95 = 1.959963984540054
"""The standard normal's 97.5 % quantile."""

MIN_USERS = 30
"""With fewer users in an arm the delta method's interval is too narrow; then there is none."""

_ROUNDING = 1e-12
"""A spread that is smaller, as a share of the sum of squares, is an error of floating point."""

RATIOS = ("error_rate", "output_tokens", "cost_usd", "satisfaction", "response_rate")
"""Figures that are a sum over a count, and so have an interval."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number: `value` (None: nothing was observed), `of` how many observations, and the interval if there is one.

    Rates and shares are 0-1.
    """

    value: float | None
    of: int
    low: float | None = None
    high: float | None = None


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one arm did. `docs/reports.md` says how each figure is computed; `model` is the one that mostly answered.

    `cost_unknown` counts requests that may have cost something nobody knows: they are in no cost figure.
    """

    model: str | None
    requests: int
    users: int
    errors: int
    error_rate: Figure
    latency_p50_ms: Figure
    latency_p99_ms: Figure
    ttft_p50_ms: Figure
    output_tokens: Figure
    cost_usd: Figure
    total_cost_usd: float | None
    cost_unknown: int
    ratings: int
    satisfaction: Figure
    response_rate: Figure


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Candidate minus base, in the figure's own unit; `relative` is the same as a share of base (0.1: 10 % more)."""

    value: float | None
    relative: float | None
    low: float | None = None
    high: float | None = None


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of the same rollout, generation and time that are in no figure.

    `forced`: users pinned to an arm; `without_user`: no user key, or everybody was forced to base; `not_live`: made for
    another purpose.
    """

    forced: int
    without_user: int
    not_live: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Both arms of one generation of a rollout, and their differences by the name of the figure.

    Times are microseconds since 1970 UTC: `since` (inclusive) and `until` (exclusive) as asked for, `first_at` and
    `last_at` of the requests in it, `as_of` when it was asked for; `freshness` is up to when it has everything. `step`,
    `endpoint`: the one asked for, None: all; `endpoints` counts both arms' requests by endpoint, the most first. The
    requests are of the steps `first_step` to `last_step`, and the candidate's percentage was `percent_low` to
    `percent_high`.
    """

    rollout: str
    generation: int
    step: int | None
    endpoint: str | None
    endpoints: dict[str, int]
    since: int | None
    until: int | None
    as_of: int
    first_at: int | None
    last_at: int | None
    first_step: int | None
    last_step: int | None
    percent_low: float | None
    percent_high: float | None
    left_out: LeftOut
    base: ArmFigures
    candidate: ArmFigures
    difference: dict[str, Difference]
    freshness: Freshness = UNKNOWN


class ClusterSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the users with n > 0: how many users, and of n (observations), x (their sum), x², xn and n²."""

    users: int
    n: float
    x: float
    xx: float
    xn: float
    nn: float

    @property
    def ratio(self) -> float | None:
        """Σx / Σn, None without observations."""
        return self.x / self.n if self.n else None

    @property
    def variance(self) -> float | None:
        """The ratio's variance, clustered by user; None with fewer than two users."""
        if self.users < 2 or not self.n:
            return None
        ratio = self.x / self.n
        spread = self.xx - 2 * ratio * self.xn + ratio * ratio * self.nn
        return self.users / (self.users - 1) * spread / self.n**2 if spread > _ROUNDING * self.xx else 0.0


def arm_figures(row: Mapping[str, Any]) -> ArmFigures:
    """Return one arm's figures from its row of `queries/compare.sql`."""
    ratios = {
        name: _ratio_figure(_sums(row, name), is_share=name not in {"output_tokens", "cost_usd"}) for name in RATIOS
    }
    return ArmFigures(
        model=row["model"],
        requests=row["requests"],
        users=row["users"],
        errors=row["errors"],
        latency_p50_ms=Figure(value=row["latency_p50_ms"], of=row["latencies"]),
        latency_p99_ms=Figure(value=row["latency_p99_ms"], of=row["latencies"]),
        ttft_p50_ms=Figure(value=row["ttft_p50_ms"], of=row["ttfts"]),
        total_cost_usd=row["total_cost_usd"],
        cost_unknown=row["cost_unknown"],
        ratings=row["ratings"],
        **ratios,
    )


def differences(base: Mapping[str, Any], candidate: Mapping[str, Any]) -> dict[str, Difference]:
    """Return candidate minus base for every figure, from both arms' rows of `queries/compare.sql`."""
    medians = {
        name: _difference(base[name], candidate[name]) for name in ("latency_p50_ms", "latency_p99_ms", "ttft_p50_ms")
    }
    ratios = {name: _ratio_difference(_sums(base, name), _sums(candidate, name)) for name in RATIOS}
    return medians | ratios


def _sums(row: Mapping[str, Any], name: str) -> ClusterSums:
    parts = {part: row[f"{name}_{part}"] or 0 for part in ("users", "n", "x", "xx", "xn", "nn")}
    return ClusterSums(**parts)


def _half_width(sums: ClusterSums) -> float | None:
    """Return half of the interval's width; None where it would say more than is known.

    Nothing ever seen to vary (no error at all, for one) is no proof that it never does.
    """
    variance = sums.variance
    return Z_95 * math.sqrt(variance) if sums.users >= MIN_USERS and variance else None


def _ratio_figure(sums: ClusterSums, *, is_share: bool) -> Figure:
    value, half = sums.ratio, _half_width(sums)
    if value is None or half is None:
        return Figure(value=value, of=int(sums.n))
    high = value + half
    return Figure(value=value, of=int(sums.n), low=max(0.0, value - half), high=min(1.0, high) if is_share else high)


def _ratio_difference(base: ClusterSums, candidate: ClusterSums) -> Difference:
    plain = _difference(base.ratio, candidate.ratio)
    halves = (_half_width(base), _half_width(candidate))
    if plain.value is None or halves[0] is None or halves[1] is None:
        return plain
    half = math.hypot(halves[0], halves[1])
    return msgspec.structs.replace(plain, low=plain.value - half, high=plain.value + half)


def _difference(base: float | None, candidate: float | None) -> Difference:
    if base is None or candidate is None:
        return Difference(value=None, relative=None)
    return Difference(value=candidate - base, relative=candidate / base - 1 if base else None)
