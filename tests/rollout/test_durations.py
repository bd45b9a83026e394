"""Lengths of time: as written in a file, and as read out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.durations import DAY_S, BadDurationError, parse_duration, spoken


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2d", 172_800),
        ("90s", 90),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("0.5d", 43_200),
        ("1.5s", 1.5),
        ("1w", 604_800),
        ("52w 1d", 365 * DAY_S),
        ("0001s", 1),
    ],
)
def test_a_length_of_time_is_a_number_and_a_unit(text: str, seconds: float):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "d", "-2d", "2 d", "two days", "2d ", "1.d", "1e3s", "\uff12d", "2D", "1d\n", "9" * 20 + "s"]
)
def test_what_is_no_length_of_time_is_refused_with_an_example(text: str):
    with pytest.raises(BadDurationError, match="is no length of time; write a number and a unit"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["1m1h", "1h1h", "30m 1d"])
def test_units_stand_in_order_and_once(text: str):
    with pytest.raises(BadDurationError, match="another order"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0d0h", "366d", "53w"])
def test_a_length_of_time_is_above_nothing_and_at_most_a_year(text: str):
    with pytest.raises(BadDurationError, match="above 0 and at most 365 days"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.4, "0.4 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (239.9, "4 min"),
        (3600, "1 h"),
        (3599.8, "1 h"),
        (68_400, "19 h"),
        (187_200, "2 d 4 h"),
        (86_399, "1 d"),
        (14 * 86_400, "14 d"),
    ],
)
def test_lengths_of_time_are_read_out_in_two_units(seconds: float, words: str):
    assert spoken(seconds) == words


@settings(deadline=None, max_examples=100)
@given(st.integers(min_value=60, max_value=365 * 86_400))
def test_what_is_read_out_can_be_written_and_is_near(seconds: int):
    written = spoken(seconds).replace(" min", "m").replace(" h", "h").replace(" d", "d").replace(" s", "s")

    assert parse_duration(written) == pytest.approx(seconds, rel=0.03)
