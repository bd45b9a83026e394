"""What the monitor says of users whose past and later badness agree, or pull against each other."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.drift import UserSoFar, drift, drift_alarm, drift_of_users, is_drifting

finite = st.floats(-1e6, 1e6)


def user(then: float, since: float, weight: float = 1.0) -> UserSoFar:
    """Return a user of one request before and one since, by how far each is above the rate of a half."""
    return UserSoFar(n_then=1, x_then=0.5 + then, n=2, x=1 + then + since, rate=0.5, weight=weight)


def test_users_who_stay_as_they_are_agree():
    assert drift_of_users([user(0.5, 0.5), user(-0.5, -0.5)]) == pytest.approx(1.0)


def test_users_who_turn_about_pull_against_their_past():
    assert drift_of_users([user(0.5, -0.5), user(-0.5, 0.5)]) == pytest.approx(-1.0)


def test_bases_users_count_by_their_weight():
    found = drift_of_users([user(0.5, 0.5), user(0.5, -0.5, weight=0.1)])

    assert found == pytest.approx((0.25 - 0.0025) / (0.25 + 0.0025))


def test_the_sums_are_those_of_the_formula():
    rng = random.Random(4)
    users = [user(rng.uniform(-1, 1), rng.uniform(-1, 1)) for _ in range(50)]
    then = [each.x_then - 0.5 * each.n_then for each in users]
    now = [each.x - 0.5 * each.n for each in users]
    since = [late - early for early, late in zip(then, now, strict=True)]
    product = sum(a * b for a, b in zip(then, since, strict=True))
    scale = math.sqrt(sum(a * a for a in then) * sum(b * b for b in since))

    assert drift_of_users(users) == pytest.approx(product / scale)


def test_nothing_is_said_where_nothing_varied():
    assert drift_of_users([]) is None
    assert drift_of_users([user(0.0, 0.5)]) is None
    assert drift_of_users([user(0.5, 0.0)]) is None
    assert not is_drifting(None, 1000)


@settings(deadline=None)
@given(st.floats(0, 1e300), st.floats(0, 1e300), finite)
def test_a_correlation_stays_one(before: float, since: float, product: float):
    found = drift(before=before, since=since, product=product)

    assert found is None or -1 <= found <= 1


@pytest.mark.parametrize(("users", "expected"), [(100, -0.3), (900, -0.1), (1_000_000, -0.1), (0, -math.inf)])
def test_three_standard_errors_alarm(users: int, expected: float):
    assert drift_alarm(users) == pytest.approx(expected)
    assert not is_drifting(max(-1.0, expected), users)


def test_a_strong_opposition_alarms():
    assert is_drifting(-0.31, 100)
    assert not is_drifting(-0.29, 100)
