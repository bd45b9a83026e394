"""How likely an equal candidate comes through a whole plan. Pure.

Law: checks and rows are taken as independent, which is careful: good luck in one goes with good luck in others. A row
is passed at either of its two looks; in a row that proves nothing only the candidate's minima must be met by then.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import msgspec

from analytics.evidence import Check
from analytics.forecast import LEAST_DAYS, Ahead, Tolerance, Week, reach_of_plenty

INNER_USERS = 100
"""Candidate users, and requests, without whom no row is left, also where nothing is to be proven."""

INNER_REQUESTS = 500

_SPREAD = 2.0
_EDGE = 8.0
_PANELS = 80
_NORMAL = NormalDist()
_NARROW = 0.05
"""Two values that differ by less, as a share of their spread, are taken as one."""


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a plan: the candidate's `percent` (0-100, both excluded), the dwell, and what must pass at its end.

    `checks` empty: an inner row of its phase, which proves nothing.
    """

    phase: str
    percent: float
    days: float
    checks: tuple[Check, ...] = ()


def plan_chances(
    rows: Sequence[PlanRow], weeks: Mapping[Check, Week], tolerances: Mapping[Check, Tolerance]
) -> tuple[float, ...] | None:
    """Return each row's chance (0-1) of being left by an equal candidate; their product is that of reaching GA.

    None while it is unknown: a required check has not three days of base.
    """
    required: set[Check] = {check for row in rows for check in row.checks}
    if not weeks or any(check not in weeks or weeks[check].days < LEAST_DAYS for check in required):
        return None
    return tuple(row_chance(row, weeks, tolerances) for row in rows)


def row_chance(row: PlanRow, weeks: Mapping[Check, Week], tolerances: Mapping[Check, Tolerance]) -> float:
    """Return the chance (0-1) that an equal candidate leaves the row at a look, after its dwell or twice that.

    All checks at the same look. Of each check the two looks are correlated like a sum and its later self.
    """
    share, days = row.percent / 100, row.days
    traffic = max(weeks.values(), key=lambda week: week.requests_per_day)
    needed = [(traffic, INNER_USERS, INNER_REQUESTS)]
    needed += [(weeks[check], tolerances[check].min_users, tolerances[check].min_requests) for check in row.checks]
    enough, later = (
        min(minima_chance(week, share, span, users=users, requests=requests) for week, users, requests in needed)
        for span in (days, 2 * days)
    )
    first = second = both = 1.0
    for check in row.checks:
        early, late, together = _looks(Ahead(week=weeks[check], tolerance=tolerances[check]), share, days)
        first, second, both = first * early, second * late, both * together
    return min(1.0, first * enough + second * later - both * enough)


def minima_chance(week: Week, share: float, days: float, *, users: int, requests: int) -> float:
    """Return the chance (0-1) that so many days bring a candidate its minima: dealt-out users are a draw.

    The rarer of both. Requests vary as if their number's spread among users were twice its mean.
    """
    due, asked = week.users_at(days) * share, week.requests_per_day * share * days
    if due <= 0 or asked <= 0:
        return 0.0
    spread = math.sqrt((1 - share) / due)
    by_users = (1 - (users - 0.5) / due) / spread
    by_requests = (1 - (requests - 0.5) / asked) / (spread * math.sqrt(1 + _SPREAD * _SPREAD))
    return _NORMAL.cdf(min(by_users, by_requests))


def _looks(ahead: Ahead, share: float, days: float) -> tuple[float, float, float]:
    early, late = reach_of_plenty(ahead, share, days), reach_of_plenty(ahead, share, 2 * days)
    known = ahead.week.variance_at(days)
    correlation = math.sqrt(ahead.week.variance_at(2 * days) / known if known else 0.5)
    return _NORMAL.cdf(early), _NORMAL.cdf(late), both_below(early, late, correlation)


def both_below(one: float, other: float, correlation: float) -> float:
    """Return the chance (0-1) that two standard normal values are below one and other.

    Their `correlation` is 0 to 1. Simpson's rule over the first, given which the second is normal too.
    """
    top, spread = min(one, _EDGE), math.sqrt(max(0.0, 1 - correlation * correlation))
    if top <= -_EDGE or other <= -_EDGE:
        return 0.0
    if spread < _NARROW:
        return _NORMAL.cdf(min(one, other))
    width = (top + _EDGE) / _PANELS

    def height(place: float) -> float:
        return _NORMAL.pdf(place) * _NORMAL.cdf((min(other, _EDGE) - correlation * place) / spread)

    inner = math.fsum((4 if k % 2 else 2) * height(k * width - _EDGE) for k in range(1, _PANELS))
    return min(1.0, (height(-_EDGE) + inner + height(top)) * width / 3)
