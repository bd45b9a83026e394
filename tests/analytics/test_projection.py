from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest

from analytics.projection import project

BEGAN = datetime(2026, 9, 1, tzinfo=None)  # noqa: DTZ001 - as the lake has it: UTC, without a zone


def arm(cost: float, *, users: int = 40, each: int = 2, hours: float = 48, **facts: Any) -> dict[str, Any]:
    """Return the row of an arm whose users ask twice: half of them at this cost, half at twice the cost."""
    x = [cost * each * (1 + number % 2) for number in range(users)]
    return {
        "users": users,
        "priced_users": users,
        "priced": users * each,
        "cost_unknown": 0,
        "first_at": BEGAN,
        "last_at": BEGAN + timedelta(hours=hours),
        "percent_low": 50,
        "percent_high": 50,
        "n": users * each,
        "x": sum(x),
        "xx": sum(one * one for one in x),
        "xn": sum(x) * each,
        "nn": users * each * each,
        **facts,
    }


def test_two_days_of_eighty_requests_an_arm_are_2400_a_month():
    found = project("sales", 1, {"base": arm(0.02), "candidate": arm(0.01)})

    assert (found.days, found.days_of_both, found.refused) == (2.0, 2.0, None)
    assert (found.base_users, found.candidate_users, found.monthly_requests) == (40, 40, 2_400)
    assert found.by_request is not None
    assert found.by_request.base.value == pytest.approx(2_400 * 0.03)
    assert found.by_request.candidate.value == pytest.approx(2_400 * 0.015)
    assert found.by_request.difference.value == pytest.approx(-36)
    assert found.present_usd == pytest.approx(1_200 * 0.045)


def test_the_interval_is_that_of_the_mean_over_users():
    found = project("sales", 1, {"base": arm(0.02), "candidate": arm(0.01)})
    base_half = 1.959963984540054 * 0.01 * math.sqrt(40 / 39) / math.sqrt(40) * 2_400
    assert found.by_request is not None
    base, difference = found.by_request.base, found.by_request.difference

    assert base.high == pytest.approx(base.value + base_half)
    assert base.low == pytest.approx(base.value - base_half)
    assert difference.high == pytest.approx(-36 + base_half * math.hypot(1, 0.5))


def test_where_each_user_asks_as_often_users_and_requests_give_the_same_month():
    found = project("sales", 1, {"base": arm(0.02), "candidate": arm(0.01)})

    assert found.by_user is not None
    assert found.by_request is not None
    for one, other in zip(
        (found.by_user.base, found.by_user.candidate), (found.by_request.base, found.by_request.candidate), strict=True
    ):
        assert (one.value, one.low, one.high) == (
            pytest.approx(other.value),
            pytest.approx(other.low),
            pytest.approx(other.high),
        )


def test_an_arm_whose_users_ask_twice_as_often_costs_twice_as_much_by_user_alone():
    found = project("sales", 1, {"base": arm(0.02), "candidate": arm(0.02, each=4)})

    assert found.by_user is not None
    assert found.by_request is not None
    assert found.by_request.difference.value == pytest.approx(0)
    assert found.by_user.candidate.value == pytest.approx(2 * found.by_user.base.value)


def test_what_is_unknown_is_taken_to_cost_the_mean_and_a_moved_percentage_has_no_month_by_user():
    moved = {"priced": 77, "cost_unknown": 3, "percent_low": 25}
    found = project("sales", 1, {"base": arm(0.02), "candidate": arm(0.01, **moved)})

    assert found.monthly_requests == 2_400
    assert found.by_user is None


def test_where_nothing_varies_there_is_no_interval():
    even: dict[str, Any] = {"xx": 40 * 0.04**2, "x": 1.6, "xn": 3.2}
    found = project("sales", 1, {"base": arm(0.02, **even), "candidate": arm(0.01)})

    assert found.by_request is not None
    assert (found.by_request.base.low, found.by_request.difference.low) == (None, None)
    assert found.by_request.candidate.low is not None


def test_the_time_that_counts_is_that_of_both_arms():
    late = arm(0.01, first_at=BEGAN + timedelta(hours=30), last_at=BEGAN + timedelta(hours=48))
    found = project("sales", 1, {"base": arm(0.02), "candidate": late})
    apart = arm(0.01, first_at=BEGAN + timedelta(hours=60), last_at=BEGAN + timedelta(hours=90))

    assert (found.days, found.days_of_both) == (2.0, 0.75)
    assert found.refused == "both arms were asked for 18.0 hours; 23 are needed, since a day's hours differ"
    assert project("sales", 1, {"base": arm(0.02), "candidate": apart}).days_of_both == 0


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (arm(0.01, priced_users=29), "29 users of candidate have a known cost; 30 are needed"),
        (arm(0.01, priced=76, cost_unknown=4), None),
        (
            arm(0.01, priced=759, cost_unknown=41),
            "the cost of 94.8 % of candidate's requests is known; 95 % are needed",
        ),
    ],
)
def test_thin_evidence_is_refused(candidate: dict[str, Any], words: str | None):
    assert project("sales", 1, {"base": arm(0.02), "candidate": candidate}).refused == words


@pytest.mark.parametrize(
    ("arms", "missing"),
    [({}, "base or candidate"), ({"base": arm(0.02)}, "candidate"), ({"candidate": arm(0.02)}, "base")],
)
def test_an_arm_without_requests_is_refused(arms: dict[str, Any], missing: str):
    found = project("sales", 1, arms)

    assert found.refused == f"no request of a split user was assigned to {missing} in this time"
    assert found.days == (2.0 if arms else 0.0)
