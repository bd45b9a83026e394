"""What is compared beside the gates: cost, and whether ratings are of the same kind of request in both arms. Pure.

Law: what is not comparable is said to be so, and never given a number.
"""

from __future__ import annotations

import math

import msgspec

from analytics.evidence import CheckSums
from analytics.figures import Z_95
from analytics.sequential import contrast

LEAST_COSTED = 0.95
"""Less of an arm's requests with a known cost, and the costs are not comparable."""

FEEDBACK_Z = 2.576
"""Feedback rates that differ by so many standard errors differ by more than chance (two-sided 1 %)."""

FEEDBACK_SHARE = 0.1
"""A difference within this share of base's feedback rate is too small to matter."""


class CostRatio(msgspec.Struct, frozen=True, kw_only=True):
    """Candidate's mean cost of a request over base's, with an interval of 95 % that holds for one look alone."""

    value: float
    low: float
    high: float


def is_cost_comparable(base_share: float | None, candidate_share: float | None) -> bool:
    """Tell whether the cost of enough requests (shares 0-1, None without requests) of both arms is known."""
    return min(base_share or 0.0, candidate_share or 0.0) >= LEAST_COSTED


def cost_ratio(sums: CheckSums) -> CostRatio | None:
    """Return q = R_c / R_b with exp(ln q ± 1.960·√(v_c/R_c² + v_b/R_b²)): a fixed sample's interval.

    None where an arm's mean is 0 or unknown. Of n = 1 and x = USD per request; the delta method on the logarithm.
    """
    found, v_b, v_c = contrast(sums), sums.base.x.variance, sums.candidate.x.variance
    if found is None or v_b is None or v_c is None or found.base <= 0 or found.candidate <= 0:
        return None
    value = found.candidate / found.base
    factor = math.exp(Z_95 * math.hypot(math.sqrt(v_c) / found.candidate, math.sqrt(v_b) / found.base))
    return CostRatio(value=value, low=value / factor, high=value * factor)


def are_ratings_comparable(feedback: CheckSums) -> bool | None:
    """Tell whether both arms' requests get feedback alike: else ratings are of different kinds of requests.

    None while it cannot be told. They are not alike if the rates differ by |Z| >= `FEEDBACK_Z` and by more than
    `FEEDBACK_SHARE` of base's.
    """
    found = contrast(feedback)
    if found is None:
        return None
    return abs(found.z) < FEEDBACK_Z or abs(found.difference) <= FEEDBACK_SHARE * found.base
