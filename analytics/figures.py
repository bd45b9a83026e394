"""Figures with intervals, and their differences: what is made of sums over users. Pure.

A figure that nothing was observed for is None, never 0. An interval holds the true value in 95 of 100 cases; it takes
each user as one draw, because a user's requests are alike (the delta method for ratios of sums clustered by user: Deng,
Knoblich, Lu 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

Z_95 = 1.959963984540054
"""The standard normal's 97.5 % quantile."""

MIN_USERS = 30
"""With fewer users in an arm the delta method's interval is too narrow; then there is none."""

_ROUNDING = 1e-12
"""A spread that is smaller, as a share of the sum of squares, is an error of floating point."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number: `value` (None: nothing was observed), `of` how many observations, and the interval if there is one.

    Rates and shares are 0-1.
    """

    value: float | None
    of: int
    low: float | None = None
    high: float | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Candidate minus base, in the figure's own unit, with its interval `low` to `high`.

    `relative` is the same as a share of base (0.1: 10 % more); `ratio` is candidate / base, with an interval of its own
    (that of its logarithm). Both are None where base is 0 or nothing was observed.
    """

    value: float | None
    relative: float | None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


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

    @property
    def error(self) -> float | None:
        """The ratio's standard error; None where it would say more than is known.

        Nothing ever seen to vary (no error at all, for one) is no proof that it never does.
        """
        variance = self.variance
        return math.sqrt(variance) if self.users >= MIN_USERS and variance else None


def sums_of(row: Mapping[str, Any], name: str) -> ClusterSums:
    """Return the sums of a figure from the columns that are named after it: `NAME_users`, `NAME_n` and so on."""
    parts = {part: row[f"{name}_{part}"] or 0 for part in ("users", "n", "x", "xx", "xn", "nn")}
    return ClusterSums(**parts)


def ratio_figure(sums: ClusterSums, *, is_share: bool) -> Figure:
    """Return a ratio of sums with its interval, within 0 and 1 if it `is_share`."""
    value, error = sums.ratio, sums.error
    if value is None or error is None:
        return Figure(value=value, of=int(sums.n))
    half = Z_95 * error
    high = value + half
    return Figure(value=value, of=int(sums.n), low=max(0.0, value - half), high=min(1.0, high) if is_share else high)


def ratio_difference(base: ClusterSums, candidate: ClusterSums) -> Difference:
    """Return the difference of two ratios of sums, with the intervals of itself and of their ratio."""
    plain = difference(base.ratio, candidate.ratio)
    if plain.value is None or base.error is None or candidate.error is None:
        return plain
    half = Z_95 * math.hypot(base.error, candidate.error)
    whole = msgspec.structs.replace(plain, low=plain.value - half, high=plain.value + half)
    if not (plain.ratio and base.ratio and candidate.ratio and plain.ratio > 0):
        return whole
    factor = math.exp(Z_95 * math.hypot(base.error / base.ratio, candidate.error / candidate.ratio))
    return msgspec.structs.replace(whole, ratio_low=plain.ratio / factor, ratio_high=plain.ratio * factor)


def total_interval(sums: ClusterSums) -> tuple[float, float] | None:
    """Return the 95 % interval of a total over users, as drawing as many users again and again would give it.

    It is what a bootstrap over users tends to, in closed form: a total's variance is that of one user's sum, times as
    many. None with fewer than `MIN_USERS` users, or where nothing varies.
    """
    spread = sums.xx - sums.x * sums.x / sums.users if sums.users >= MIN_USERS else 0.0
    if spread <= _ROUNDING * sums.xx:
        return None
    half = Z_95 * math.sqrt(sums.users / (sums.users - 1) * spread)
    return max(0.0, sums.x - half), sums.x + half


def difference(base: float | None, candidate: float | None) -> Difference:
    """Return candidate minus base, and their ratio."""
    if base is None or candidate is None:
        return Difference(value=None, relative=None)
    ratio = candidate / base if base else None
    return Difference(value=candidate - base, relative=None if ratio is None else ratio - 1, ratio=ratio)
