"""Numbers as people read them."""

from __future__ import annotations

import math

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rollout.phrases import counted, levels, listed, needed_odds, odds, rates, scores


def test_counts_have_their_noun():
    assert counted(1, "user") == "1 user"
    assert counted(12_040, "request") == "12,040 requests"
    assert counted(0, "reply", "replies") == "0 replies"


def test_rates_have_one_decimal_where_that_tells_them_apart():
    assert rates(0.039, 0.020, 0.027) == ["3.9 %", "2.0 %", "2.7 %"]
    assert rates(0.0271, 0.0270) == ["2.71 %", "2.70 %"]
    assert rates(0.0) == ["0.0 %"]
    assert rates(0.0005) == ["0.1 %"]
    assert rates(0.0001) == ["0.01 %"]
    assert rates(0.1234567, 0.1234568) == ["12.3457 %", "12.3457 %"]


def test_scores_have_their_sign():
    assert scores(-0.01, -0.05, -0.03) == ["\u22120.01", "\u22120.05", "\u22120.03"]
    assert scores(0.021, 0.024) == ["+0.021", "+0.024"]
    assert scores(0.00001, 0.00002) == ["+0.0000", "+0.0000"]
    assert levels(0.78, 0.8) == ["0.78", "0.80"]


def test_odds_are_to_one():
    assert odds(math.log(1132.79)) == "1,133 to 1"
    assert odds(11.62907) == "112,316 to 1"
    assert odds(1000.0) == "over 1,000,000,000 to 1"
    assert odds(math.log(0.5)) == "0.5 to 1"
    assert needed_odds(math.log(500)) == "500"


def test_words_are_listed():
    assert listed(["a"]) == "a"
    assert listed(["a", "b"]) == "a and b"
    assert listed(["a", "b", "c"]) == "a, b and c"


@settings(deadline=None, max_examples=100)
@given(st.floats(0, 1), st.floats(0, 1))
def test_rates_that_differ_never_look_equal(one: float, other: float):
    assume(abs(one - other) > 2e-6)

    assert len(set(rates(one, other))) == 2
