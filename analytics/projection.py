"""What a month of one arm alone would cost: an extrapolation that says what it stands on, or why there is none. Pure.

A request's cost is that of all its tries and belongs to the arm that it was assigned, whatever served it: so the total
is projected, not a unit price. Intervals take each user as one draw (`figures.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from analytics.figures import MIN_USERS, Z_95, ClusterSums

MONTH_DAYS = 30

MIN_HOURS = 23
"""A day, less what is missing at its ends; a shorter time says too little of the other hours of a day."""

MIN_KNOWN = 0.95
"""Where less of an arm's cost is known, the rest may be where the arms differ."""

_ARMS = ("base", "candidate")
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A sum in USD, with its 95 % interval if there is one."""

    value: float
    low: float | None = None
    high: float | None = None


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """30 days in USD, if all the traffic were one arm's; `difference` is candidate minus base: below 0 it saves."""

    base: Estimate
    candidate: Estimate
    difference: Estimate


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """What 30 days would cost with either arm of one generation of a rollout alone, from `days` of split traffic.

    `days_of_both`: the time in which both arms were asked. `refused` says in a sentence why there is no projection.
    `monthly_requests`: the traffic seen, scaled to 30 days, without what never reached a model; `present_usd` is its
    cost at the split as it was. `by_request` takes each arm's cost per request for all of it; `by_user` each arm's cost
    per user for all users, which also tells whether users of an arm ask more: None where the percentage moved.
    """

    rollout: str
    generation: int
    days: float
    days_of_both: float
    base_users: int
    candidate_users: int
    refused: str | None
    monthly_requests: float | None = None
    present_usd: float | None = None
    by_request: Month | None = None
    by_user: Month | None = None


def project(rollout: str, generation: int, arms: Mapping[str, Mapping[str, Any]]) -> Projection:
    """Return what a month would cost, from the arms' rows of `queries/cost.sql` by their names; one may be missing."""
    rows = [arms[name] for name in _ARMS if name in arms]
    days, both = _spans(rows)
    found = Projection(
        rollout=rollout,
        generation=generation,
        days=days / _DAY,
        days_of_both=both / _DAY,
        base_users=arms["base"]["users"] if "base" in arms else 0,
        candidate_users=arms["candidate"]["users"] if "candidate" in arms else 0,
        refused=_refusal(arms, both / _HOUR),
    )
    if found.refused is not None:
        return found
    scale, users = MONTH_DAYS / found.days, found.base_users + found.candidate_users
    load = scale * sum(map(_billable, rows))
    percents = {row[name] for row in rows for name in ("percent_low", "percent_high")}
    by_user = _month([(_user_sums(row), scale * users * _billable(row) / row["priced"]) for row in rows])
    return msgspec.structs.replace(
        found,
        monthly_requests=load,
        present_usd=scale * math.fsum(row["x"] / row["n"] * _billable(row) for row in rows),
        by_request=_month([(_request_sums(row), load) for row in rows]),
        by_user=by_user if len(percents) == 1 else None,
    )


def _spans(rows: Sequence[Mapping[str, Any]]) -> tuple[timedelta, timedelta]:
    """Return how long any arm was asked, and how long both were."""
    firsts: list[datetime] = [row["first_at"] for row in rows]
    lasts: list[datetime] = [row["last_at"] for row in rows]
    if not rows:
        return timedelta(), timedelta()
    both = min(lasts) - max(firsts) if len(rows) == len(_ARMS) else timedelta()
    return max(lasts) - min(firsts), max(both, timedelta())


def _refusal(arms: Mapping[str, Mapping[str, Any]], hours: float) -> str | None:
    """Say why nothing can be told of a month, if so."""
    missing = [name for name in _ARMS if name not in arms]
    if missing:
        return f"no request of a split user was assigned to {' or '.join(missing)} in this time"
    if hours < MIN_HOURS:
        return f"both arms were asked for {hours:.1f} hours; {MIN_HOURS} are needed, since a day's hours differ"
    for name in _ARMS:
        row = arms[name]
        if row["priced_users"] < MIN_USERS:
            return f"{row['priced_users']} users of {name} have a known cost; {MIN_USERS} are needed"
        if row["priced"] < MIN_KNOWN * _billable(row):
            known = math.floor(row["priced"] / _billable(row) * 1000) / 10
            return f"the cost of {known:g} % of {name}'s requests is known; {MIN_KNOWN * 100:g} % are needed"
    return None


def _billable(row: Mapping[str, Any]) -> int:
    """Return how many requests may have cost something."""
    return row["priced"] + row["cost_unknown"]


def _request_sums(row: Mapping[str, Any]) -> ClusterSums:
    return ClusterSums(users=row["priced_users"], **{part: row[part] for part in ("n", "x", "xx", "xn", "nn")})


def _user_sums(row: Mapping[str, Any]) -> ClusterSums:
    """Return the same with each user as one observation, also one who cost nothing."""
    return ClusterSums(users=row["users"], n=row["users"], x=row["x"], xx=row["xx"], xn=row["x"], nn=row["users"])


def _month(arms: Sequence[tuple[ClusterSums, float]]) -> Month:
    """Return the month of base and candidate: of each the mean cost, times how often it occurs in 30 days."""
    values = [sums.x / sums.n * times for sums, times in arms]
    halves = [None if sums.error is None else Z_95 * sums.error * times for sums, times in arms]
    known = [half for half in halves if half is not None]
    base, candidate = (_estimate(value, half, least=0.0) for value, half in zip(values, halves, strict=True))
    apart = math.hypot(*known) if len(known) == len(arms) else None
    return Month(base=base, candidate=candidate, difference=_estimate(values[1] - values[0], apart))


def _estimate(value: float, half: float | None, least: float = -math.inf) -> Estimate:
    if half is None:
        return Estimate(value=value)
    return Estimate(value=value, low=max(least, value - half), high=value + half)
