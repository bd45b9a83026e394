"""What a step will be able to tell, said before it starts: from base's last days alone. Pure.

Law: a forecast is for a candidate that equals base, and uses the variances and minima that the gate will use; with less
than three days of base nothing is foreseen. Whole plans are foreseen as if checks and rows were independent, which is
careful, for good luck in one goes with good luck in others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import NormalDist

import msgspec

from analytics.evidence import ArmSums
from analytics.proof import FEW_EFFECT, GREATEST_TARGET, PASS_Z, inflation
from analytics.sequential import MIN_EVENTS, look_threshold, tolerated

LEAST_DAYS = 3.0
"""Fewer days of base, and nothing is foreseen."""

LONGEST_DAYS = 28.0
"""No dwell is proposed that is longer."""

LIKELY = 0.80
"""A chance that is called likely, and how many standard errors lie between it and an even one."""

POWER_Z = NormalDist().inv_cdf(LIKELY)

_NORMAL = NormalDist()


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """What base's last `days` (3-7) say of one check, as of all users, whatever share was in base then.

    `rate`: R_b (0-1). `requests_per_day`: those that enter the check, of all users. `users_day`, `users`: who sent
    them, in one day and in all. `variance_day`, `variance`: of the rate, by users, over one day and over all; each
    times the share of users who were in base. `slower`: for latency, which share (0-1) took longer than r·Q0, by r.
    """

    rate: float
    requests_per_day: float
    users_day: float
    users: float
    variance_day: float
    variance: float
    days: float = 7.0
    slower: Mapping[float, float] = {}

    def variance_at(self, days: float) -> float:
        """Return the variance over so many days of all users: one part falls like 1/days, the other like 1/users.

        The first is chance within users, the second what they differ by; of users who return it stays as it is.
        """
        between = self._between
        within = self.variance - between
        return within * self.days / days + (between * self.users / self.users_at(days) if between else 0.0)

    def users_at(self, days: float) -> float:
        """Return how many users so many days see."""
        if self.users_day <= 0 or self.users <= 0:
            return 0.0
        growth = math.log(self.users / self.users_day) / math.log(self.days) if self.days > 1 else 0.0
        return self.users * (days / self.days) ** min(1.0, max(0.0, growth))

    @property
    def _between(self) -> float:
        """The part of `variance` that lies between users: what the first day's shows, if the rest fell like 1/days."""
        by_users = self.users_day * self.days / self.users if self.users > 0 else 0.0
        if by_users <= 1:
            return 0.0
        rest = self.variance - self.variance_day / self.days
        return min(self.variance, max(0.0, rest / (1 - 1 / by_users)))


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """What a check tolerates, needs and spends: R* = (1 + `relative`)·R_b + `absolute`, or `ratio` times the quantile.

    `min_users` and `min_requests` are the candidate's; `alpha` its share of false rollbacks within one row.
    """

    relative: float = 0.0
    absolute: float = 0.0
    ratio: float = 1.0
    min_users: int = 100
    min_requests: int = 1000
    alpha: float = 0.002


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """One check's prospects after a dwell.

    `chance` (0-1) that an equal candidate passes the look at its end, 0 below minima. `days`: the shortest dwell with a
    likely pass, None beyond 28. `provable`: the smallest slack, in R (0-1), that is likely proven; `detectable`: the
    smallest harm that is likely seen at the look; `slack`: R* - R_b (for latency the share between Q0 and r·Q0).
    `users` and `requests` of the candidate.
    """

    chance: float
    days: float | None
    slack: float
    provable: float
    detectable: float
    users: float
    requests: float


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """A check with its week and tolerance."""

    week: Week
    tolerance: Tolerance

    @property
    def slack(self) -> float:
        """Return Δ: by how much the candidate's rate may be worse (for latency: base's share between Q0 and r·Q0)."""
        if self.week.slower:
            return self.week.rate - share_slower(self.week.slower, self.tolerance.ratio)
        tolerance = self.tolerance
        return tolerated(self.week.rate, relative=tolerance.relative, absolute=tolerance.absolute) - self.week.rate


def week_of(
    whole: ArmSums, each_day: Sequence[ArmSums], *, base_share: float, slower: Mapping[float, float] | None = None
) -> Week | None:
    """Return the week that base's sums over its last days tell of, and over each of them; users count once in each.

    `base_share`: which share of all users (above 0, to 1) was in base then. None without users enough for a variance.
    """
    days = [day for day in each_day if day.x.variance is not None]
    rate, variance = whole.x.ratio, whole.x.variance
    if rate is None or variance is None or not days:
        return None
    return Week(
        rate=rate,
        requests_per_day=whole.requests / len(each_day) / base_share,
        users_day=math.fsum(day.x.users for day in each_day) / len(each_day) / base_share,
        users=whole.x.users / base_share,
        variance_day=math.fsum(day.x.variance or 0.0 for day in days) / len(days) * base_share,
        variance=variance * base_share,
        days=float(len(each_day)),
        slower=slower or {},
    )


def share_slower(slower: Mapping[float, float], ratio: float) -> float:
    """Return which share (0-1) takes longer than `ratio` times Q0: linear in ln r between the known ratios."""
    known = sorted(slower.items())
    for (left, more), (right, less) in pairwise(known):
        if left <= ratio <= right:
            return more + (less - more) * math.log(ratio / left) / math.log(right / left)
    return known[0][1] if ratio < known[0][0] else known[-1][1]


def pass_error(ahead: Ahead, share: float, days: float) -> float:
    """Return the standard error by which a look after so many days judges PASS; `share`: the candidate's, 0 < π < 1."""
    week, tolerance = ahead.week, ahead.tolerance
    variance = week.variance_at(days)
    target = week.rate if week.slower else week.rate + ahead.slack
    growth = 1.0 if week.slower else inflation(week.rate, target)
    at_margin = variance / share * growth if variance else 0.0
    if week.rate * week.requests_per_day * (1 - share) * days < MIN_EVENTS or not at_margin:
        requests = week.requests_per_day * share * days
        at_margin = max(at_margin, FEW_EFFECT * target * (1 - target) / requests if requests else math.inf)
    relative = 0.0 if week.slower else tolerance.relative
    return math.sqrt(at_margin + (1 + relative) * (1 + relative) * variance / (1 - share))


def pass_reach(ahead: Ahead, share: float, days: float) -> float:
    """Return by how many standard errors an equal candidate is expected beyond the bound of PASS; -inf below minima."""
    users, requests = ahead.week.users_at(days) * share, ahead.week.requests_per_day * share * days
    if users < ahead.tolerance.min_users or requests < ahead.tolerance.min_requests:
        return -math.inf
    return reach_of_plenty(ahead, share, days)


def reach_of_plenty(ahead: Ahead, share: float, days: float) -> float:
    """Return the same as if the minima were met; -inf for a margin that nothing can prove."""
    slack = ahead.slack
    if slack < 0 or (not ahead.week.slower and ahead.week.rate + slack > GREATEST_TARGET):
        return -math.inf
    error = pass_error(ahead, share, days)
    return slack / error - PASS_Z if error else math.inf


def outlook(ahead: Ahead, *, share: float, days: float) -> Outlook | None:
    """Return one check's prospects for a dwell of so many `days` at the candidate's `share` of users, 0 < share < 1.

    None with less than `LEAST_DAYS` of base.
    """
    week = ahead.week
    if week.days < LEAST_DAYS:
        return None
    variance = week.variance_at(days)
    error = math.sqrt(variance / share + variance / (1 - share))
    return Outlook(
        chance=_NORMAL.cdf(pass_reach(ahead, share, days)),
        days=days_to_decision(ahead, share),
        slack=ahead.slack,
        provable=(PASS_Z + POWER_Z) * pass_error(ahead, share, days),
        detectable=(look_threshold(ahead.tolerance.alpha) + POWER_Z) * error,
        users=week.users_at(days) * share,
        requests=week.requests_per_day * share * days,
    )


def days_to_decision(ahead: Ahead, share: float) -> float | None:
    """Return the shortest dwell, in days, whose look an equal candidate likely passes; None if 28 do not do."""
    if pass_reach(ahead, share, LONGEST_DAYS) < POWER_Z:
        return None
    short, long = 0.0, LONGEST_DAYS
    while long - short > 1e-6 * long:
        middle = (short + long) / 2
        short, long = (short, middle) if pass_reach(ahead, share, middle) >= POWER_Z else (middle, long)
    return long


def requests_needed(requests: float, *, slack: float, error: float) -> float | None:
    """Return how many candidate requests a likely pass needs, if `requests` of the same kind leave a standard `error`.

    `slack`: R* - R_b; None where there is none.
    """
    return requests * ((PASS_Z + POWER_Z) * error / slack) ** 2 if slack > 0 else None
