"""Base as it was before everybody became a candidate: frozen once, and compared with each hour since. Pure.

The law: every request of an hour weighs as it would have weighed then. So the cap, like the thresholds of latency, is
frozen with the sums, and holds for one user's requests of one hour (or day), in base as in what comes after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from analytics.detector import needs_days
from analytics.evidence import ArmSums, Check


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """What the watch calls an hour (`hour_us`, microseconds), and how many of them are its day and its week.

    Hours are counted from 1970 UTC on, days as so many hours each.
    """

    hour_us: int
    hours_per_day: int = 24
    hours_per_week: int = 168

    def hours(self, *, by_day: bool) -> int:
        """Return how many hours a slot has: one, or a day's."""
        return self.hours_per_day if by_day else 1

    def cycle(self, *, by_day: bool) -> int:
        """Return after how many slots a week begins anew."""
        return self.hours_per_week // self.hours(by_day=by_day)

    def ended(self, at: int, *, by_day: bool) -> int:
        """Return the number of the last slot that is over at a moment (microseconds since 1970 UTC)."""
        return at // (self.hour_us * self.hours(by_day=by_day)) - 1


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Which arm's requests of which time (microseconds since 1970 UTC, `until` excluded), in hours of `clock`.

    `thresholds`: Q0 and r·Q0 in milliseconds of each latency check that applies; `rating`: which feedback counts, by
    the hour in which it was received.
    """

    rollout: str
    generation: int
    arm: Literal["base", "candidate"]
    since: int
    until: int
    clock: Clock
    thresholds: Mapping[Check, tuple[float, float]] = {}
    rating: Literal["thumb", "rating"] = "thumb"


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """One check of base: the sums of each hour of the week, pooled with both its neighbours, or `by_day` of each day.

    Slots are numbered from 0: the slot's number since 1970 modulo the week's length. Under the `cap` each user counts
    for no more than so many requests of one hour (day).
    """

    cap: float
    slots: Mapping[int, ArmSums]
    by_day: bool = False


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Base of some time, as it was frozen: what was looked at, and each check of which there was anything."""

    span: Span
    checks: Mapping[Check, Frozen] = {}
    requests: int = 0
    users: int = 0

    @property
    def latencies(self) -> Mapping[Check, float]:
        """Return Q0 in milliseconds of each latency check."""
        return {check: q0 for check, (q0, _) in self.span.thresholds.items()}


def written(baseline: Baseline) -> bytes:
    """Return a baseline as JSON, as it is kept."""
    return msgspec.json.encode(baseline)


def digest(kept: bytes) -> str:
    """Return the sha256, in hex, of a baseline as it is kept."""
    return hashlib.sha256(kept).hexdigest()


def read(kept: bytes) -> Baseline:
    """Return a baseline from its JSON.

    Raises:
        msgspec.MsgspecError: it is not what `written` gave.
    """
    return msgspec.json.decode(kept, type=Baseline)


def is_thin(clock: Clock, slots: Mapping[int, ArmSums]) -> bool:
    """Tell whether too many of a week's hours have too few users to be compared by."""
    return needs_days(slots[hour].x.users if hour in slots else 0 for hour in range(clock.cycle(by_day=False)))
