"""Proof that a candidate is not worse than the margin tolerates: the PASS statistic of one look. Pure.

Law: a lucky candidate shows a small variance too; so the variance is at least what base's users would show at the
margin, and with few events of base at least three times that of single requests. Sources: non-inferiority by
intersection-union, Berger 1982; users as the unit, Deng, Knoblich, Lu 2018; the variance under the null hypothesis,
Farrington, Manning 1990.
"""

from __future__ import annotations

import math

import msgspec

from analytics.evidence import CheckSums
from analytics.figures import Z_95, ClusterSums
from analytics.sequential import MIN_EVENTS, against_margin, tolerated

PASS_Z = Z_95
"""Each of two looks passes at one-sided 2.5 %: together at most 5 % at the margin."""

GREATEST_TARGET = 0.999
"""An R* above it proves nothing, for hardly any candidate could be worse: the margin is a configuration error."""

FEW_EFFECT = 3.0
"""Design effect that is assumed where base has too few events to show one."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A look at one check: the candidate's rate of what is compared (0-1), `target` R*, the standard `error` between.

    `statistic` = (target - candidate) / error, at least `PASS_Z` to pass; 0 where nothing varies. `expected_error` is
    the error with the candidate's variance at the margin alone, from which needed sample sizes follow.
    """

    base: float
    candidate: float
    target: float
    error: float
    expected_error: float
    statistic: float

    @property
    def is_pass(self) -> bool:
        """Whether the statistic reaches `PASS_Z`."""
        return self.statistic >= PASS_Z

    @property
    def at_most(self) -> float:
        """The 97.5 % bound of the candidate's rate, base's uncertainty included; a pass keeps it to `target`."""
        return self.candidate + PASS_Z * self.error


def inflation(base: float, target: float) -> float:
    """Return h: how much base's variance grows when its rate moves to the `target` R*; 1 where base's cannot tell.

    The 1.5th power of p(1 - p)'s growth, for the variance between users grows faster than that of single requests.
    """
    own = base * (1 - base)
    odds = max(1.0, target * (1 - target) / own) if own > 0 else 1.0
    return odds * math.sqrt(odds)


def variance_at_margin(base: ClusterSums, candidate: ClusterSums, *, growth: float) -> float | None:
    """Return the variance of a candidate's rate if its users were like base's: v_b·(K_b/K_c)·(N̄_b/N̄_c)²·h.

    `growth` is h. None while base has fewer than two users or an arm no requests.
    """
    variance = base.variance
    if variance is None or not candidate.n:
        return None
    if not variance:
        return 0.0
    mean_b, mean_c = base.n / base.users, candidate.n / candidate.users
    return variance * (base.users / candidate.users) * (mean_b / mean_c) * (mean_b / mean_c) * growth


def proof(sums: CheckSums, *, relative: float = 0.0, absolute: float = 0.0) -> Proof | None:
    """Return what a look proves; None while an arm has fewer than two users, or if R* is above `GREATEST_TARGET`.

    Rates (0-1): `relative` m and `absolute` δ of the margin; for latency both 0, where y is measured at the ratio r.
    """
    base, candidate = sums.base.x, against_margin(sums)
    r_b, r_c, v_b, v_c = base.ratio, candidate.ratio, base.variance, candidate.variance
    if r_b is None or r_c is None or v_b is None or v_c is None:
        return None
    target = tolerated(r_b, relative=relative, absolute=absolute)
    if target > GREATEST_TARGET:
        return None
    growth = 1.0 if sums.candidate.y is not None else inflation(r_b, target)
    v_0 = variance_at_margin(base, candidate, growth=growth) or 0.0
    if sums.base.events < MIN_EVENTS or not v_0:
        v_0 = max(v_0, FEW_EFFECT * target * (1 - target) / candidate.n)
    of_target = (1 + relative) * (1 + relative) * v_b
    error = math.sqrt(max(v_c, v_0) + of_target)
    return Proof(
        base=r_b,
        candidate=r_c,
        target=target,
        error=error,
        expected_error=math.sqrt(v_0 + of_target),
        statistic=(target - r_c) / error if error else 0.0,
    )
