"""Rules that others decide by, one-sided, on the sums of the same look. Each says whether the candidate is worse.

All of them wait for the product's own minima first.
"""

from __future__ import annotations

import math

from analytics.evidence import ArmSums, CheckSums
from analytics.figures import ClusterSums

_Z_ONE_SIDED = 1.6448536269514722
"""The standard normal's 95 % quantile."""

_G2 = 6.3290 / 5000
"""The mixture's width, tuned to 5,000 users, as GrowthBook's default is (Waudby-Smith et al. 2021)."""


def meets_minima(sums: CheckSums) -> bool:
    """Tell whether there are 30 candidate users, and 25 events in both arms together."""
    return sums.candidate.x.users >= 30 and sums.base.events + sums.candidate.events >= 25


def naive(sums: CheckSums) -> bool:
    """Compare two proportions of requests at every look, as if each request were a user and each look the only one."""
    return request_z(sums.base, sums.candidate) > _Z_ONE_SIDED


def clustered(base: ClusterSums, candidate: ClusterSums) -> bool:
    """Compare with the error clustered by user, as if each look were the only one."""
    difference, variance = _difference(base, candidate)
    return variance > 0 and difference / math.sqrt(variance) > _Z_ONE_SIDED


def likelihood_ratio(sums: CheckSums, alpha: float) -> bool:
    """Stop at a generalized likelihood ratio of requests above ln((1 + ln n)/alpha), as TensorZero's experiments do."""
    z, n = request_z(sums.base, sums.candidate), sums.base.requests + sums.candidate.requests
    return z > 0 and z * z / 2 > math.log((1 + math.log(n)) / alpha)


def asymptotic_sequence(base: ClusterSums, candidate: ClusterSums, alpha: float) -> bool:
    """Stop when an asymptotic confidence sequence over users leaves 0 behind, as GrowthBook's sequential test does."""
    difference, variance = _difference(base, candidate)
    users = base.users + candidate.users
    spread = users * _G2 + 1
    width = 2 * variance * spread / (users * _G2) * math.log1p(math.sqrt(spread) / (2 * alpha)) if users else 0.0
    return difference > 0 and difference**2 > width


def request_z(base: ArmSums, candidate: ArmSums) -> float:
    """Return the difference of two proportions of requests in standard errors, 0 where there is none."""
    if not (base.requests and candidate.requests):
        return 0.0
    rates = base.events / base.requests, candidate.events / candidate.requests
    variance = rates[0] * (1 - rates[0]) / base.requests + rates[1] * (1 - rates[1]) / candidate.requests
    return (rates[1] - rates[0]) / math.sqrt(variance) if variance > 0 else 0.0


def _difference(base: ClusterSums, candidate: ClusterSums) -> tuple[float, float]:
    if base.ratio is None or candidate.ratio is None:
        return 0.0, 0.0
    return candidate.ratio - base.ratio, (base.variance or 0.0) + (candidate.variance or 0.0)
