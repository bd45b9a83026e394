"""Freeze windows: when nothing starts or advances."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.schedule import (
    WEEK_MINUTES,
    BadTimeError,
    FreezeWindow,
    frozen_until,
    is_always_frozen,
    is_weekly,
    parse_moment,
    parse_weekly,
)


def us(text: str) -> int:
    return parse_moment(text)


CHRISTMAS = FreezeWindow(start=us("2026-12-20T00:00:00Z"), end=us("2027-01-03T00:00:00Z"))
WEEKEND = FreezeWindow(start=parse_weekly("fri 16:00"), end=parse_weekly("mon 08:00"), weekly=True)


def test_a_moment_is_microseconds_since_1970():
    assert us("1970-01-01T00:00:01Z") == 1_000_000
    assert us("1970-01-01T01:00:00+01:00") == 0
    assert us("2026-12-01 08:00+01:00") == us("2026-12-01T07:00:00Z")


@pytest.mark.parametrize(
    "text", ["", "2026-12-01", "2026-12-01T08:00:00", "2026-13-01T08:00:00Z", "tomorrow", "2026-12-01T8:00Z"]
)
def test_a_moment_has_a_date_a_time_and_an_offset(text: str):
    with pytest.raises(BadTimeError, match="is no moment; write date, time and offset"):
        parse_moment(text)


def test_times_of_the_week_are_minutes_since_monday():
    assert parse_weekly("mon 00:00") == 0
    assert parse_weekly("sun 23:59") == WEEK_MINUTES - 1
    assert parse_weekly("fri 16:00+01:00") == parse_weekly("fri 15:00Z") == 4 * 1440 + 900
    assert parse_weekly("mon 00:30+01:00") == parse_weekly("sun 23:30")
    assert parse_weekly("sun 23:30-01:00") == parse_weekly("mon 00:30")
    assert is_weekly("fri 16:00")
    assert not is_weekly("2026-12-01T08:00:00Z")


@pytest.mark.parametrize(
    "text", ["fri", "friday 16:00", "fri 24:00", "xyz 10:00", "Fri 16:00", "fri 16:00 CET", "fri 16:60"]
)
def test_what_is_no_time_of_the_week_is_refused(text: str):
    with pytest.raises(BadTimeError, match="is no time of the week; write day and time"):
        parse_weekly(text)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-12-19T23:59:59Z", "2027-01-04T08:00:00Z"),  # a Saturday, on which Christmas follows
        ("2026-12-25T12:00:00Z", "2027-01-04T08:00:00Z"),  # ends on a Sunday, within the weekend
        ("2026-11-20T15:59:59Z", None),
        ("2026-11-20T16:00:00Z", "2026-11-23T08:00:00Z"),
        ("2026-11-23T07:59:59Z", "2026-11-23T08:00:00Z"),
        ("2026-11-23T08:00:00Z", None),
    ],
)
def test_nothing_moves_until_no_window_is_open(at: str, until: str | None):
    windows = (CHRISTMAS, WEEKEND)

    assert frozen_until(windows, us(at)) == (None if until is None else us(until))


def test_without_windows_nothing_is_frozen():
    assert frozen_until((), 0) is None


def test_windows_that_fill_the_week_are_noticed():
    first = FreezeWindow(start=0, end=5000, weekly=True)

    assert is_always_frozen((first, FreezeWindow(start=5000, end=0, weekly=True)))
    assert is_always_frozen((FreezeWindow(start=77, end=77, weekly=True),))
    assert not is_always_frozen((first, WEEKEND, CHRISTMAS))
    assert not is_always_frozen(())


@settings(deadline=None, max_examples=100)
@given(st.integers(0, WEEK_MINUTES - 1), st.integers(0, WEEK_MINUTES - 1), st.integers(0, 10**10))
def test_a_weekly_window_is_open_at_the_same_minutes_of_every_week(start: int, end: int, second: int):
    window = FreezeWindow(start=start, end=end, weekly=True)
    at = second * 1_000_000
    closes = window.closes_at(at)
    moment = datetime.fromtimestamp(second, UTC)
    minute = moment.weekday() * 1440 + moment.hour * 60 + moment.minute
    inside = start <= minute < end if start < end else minute >= start or minute < end

    assert (closes is not None) == inside
    if closes is not None:
        assert 0 < closes - at <= timedelta(weeks=1) / timedelta(microseconds=1)
        ends = datetime.fromtimestamp(closes / 1e6, UTC)
        assert ends.weekday() * 1440 + ends.hour * 60 + ends.minute == end
