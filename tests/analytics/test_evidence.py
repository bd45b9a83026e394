"""The cap, and users' sums under it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.evidence import cap_of, capped_sums


def test_the_cap_is_the_interpolated_quantile():
    assert cap_of([1, 2, 3, 4, 5]) == pytest.approx(4.8)
    assert cap_of([7]) == 7


def test_the_cap_is_at_least_one_request():
    assert cap_of([]) == 1.0
    assert cap_of([0.25, 0.5]) == 1.0


def test_a_busy_user_counts_in_proportion():
    sums = capped_sums([(2, 1), (40, 20), (0, 0)], 4.0)

    assert (sums.users, sums.n, sums.x) == (2, 6.0, 3.0)
    assert (sums.xx, sums.xn, sums.nn) == (5.0, 10.0, 20.0)


def test_nobody_sums_to_nothing():
    sums = capped_sums([], 1.0)

    assert (sums.users, sums.ratio, sums.variance) == (0, None, None)


@settings(deadline=None)
@given(st.lists(st.integers(1, 1000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))), st.floats(1, 1000))
def test_the_cap_keeps_every_users_own_rate(users: list[tuple[int, int]], cap: float):
    capped = [capped_sums([user], cap) for user in users]

    for (n, x), sums in zip(users, capped, strict=True):
        assert sums.ratio == pytest.approx(x / n)
        assert sums.n <= cap
