"""When a rollout may move forward: freeze windows, once or every week. Pure.

The law: a window keeps a rollout from starting and advancing, never from going back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

WEEK_MINUTES = 7 * 24 * 60
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEKLY = re.compile(
    r"(?P<day>[a-z]{3}) (?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])"
    r"(?:Z|(?P<sign>[+-])(?P<ahead_h>0[0-9]|1[0-4]):(?P<ahead_m>[0-5][0-9]))?",
    re.ASCII,
)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{5,8}(?:Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY_US = 4 * 86_400_000_000
"""The first Monday of 1970."""
_MINUTE_US = 60_000_000
_WEEK_US = WEEK_MINUTES * _MINUTE_US
_HORIZON_US = 10 * 52 * _WEEK_US


class BadTimeError(ValueError):
    """A text that is no moment, or no time of the week; the message is what is wrong with it, and the remedy."""


class FreezeWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch from `start` up to `end`: µs since 1970 UTC, or, `weekly`, minutes since Monday 00:00 UTC (0-10079).

    A weekly one whose `end` is not behind its `start` goes on into the next week.
    """

    start: int
    end: int
    weekly: bool = False

    def closes_at(self, at: int) -> int | None:
        """Return when the window that is open at a moment (µs since 1970 UTC) ends; None where it is not open."""
        if not self.weekly:
            return self.end if self.start <= at < self.end else None
        length = (self.end - self.start) % WEEK_MINUTES or WEEK_MINUTES
        since = (at - _MONDAY_US - self.start * _MINUTE_US) % _WEEK_US
        left = length * _MINUTE_US - since
        return at + left if left > 0 else None


def frozen_until(windows: Sequence[FreezeWindow], at: int) -> int | None:
    """Return when no window is open any more, as µs since 1970 UTC; None where none is open at `at`.

    Windows that follow each other without a gap count as one; beyond ten years nobody looks.
    """
    free = at
    while free - at < _HORIZON_US:
        ends = [end for window in windows if (end := window.closes_at(free)) is not None]
        if not ends:
            break
        free = max(ends)
    return free if free > at else None


def is_always_frozen(windows: Sequence[FreezeWindow]) -> bool:
    """Tell whether the weekly windows leave no minute of the week free."""
    weekly = [window for window in windows if window.weekly]
    until = frozen_until(weekly, _MONDAY_US)
    return until is not None and until - _MONDAY_US >= _HORIZON_US


def parse_moment(text: str) -> int:
    """Return µs since 1970 UTC of a date and time with its offset, such as `2026-12-01T08:00:00+01:00`.

    Raises:
        BadTimeError: it is no such moment, or has no offset.
    """
    moment = None
    if _MOMENT.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
    if moment is None:
        message = 'is no moment; write date, time and offset, such as "2026-12-01T08:00:00Z" or "...+01:00"'
        raise BadTimeError(message)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def parse_weekly(text: str) -> int:
    """Return the minutes since Monday 00:00 UTC of a time such as `fri 16:00` (UTC) or `fri 16:00+01:00`.

    Raises:
        BadTimeError: it is no such time.
    """
    found = _WEEKLY.fullmatch(text)
    if found is None or found["day"] not in _DAYS:
        message = 'is no time of the week; write day and time, such as "fri 16:00" (UTC) or "fri 16:00+01:00"'
        raise BadTimeError(message)
    minutes = _DAYS.index(found["day"]) * 1440 + int(found["hour"]) * 60 + int(found["minute"])
    ahead = int(found["ahead_h"] or 0) * 60 + int(found["ahead_m"] or 0)
    return (minutes + (ahead if found["sign"] == "-" else -ahead)) % WEEK_MINUTES


def is_weekly(text: str) -> bool:
    """Tell whether a text means a time of the week rather than a moment."""
    return text[:1].isalpha()
