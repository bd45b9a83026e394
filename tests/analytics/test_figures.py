"""Ratios of sums, taken user by user: their variance, their difference, and how many times one is the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from analytics.figures import ClusterSums, difference, ratio_difference


def cluster(pairs: Sequence[tuple[float, float]]) -> ClusterSums:
    """Return the sums of users' (x, n)."""
    return ClusterSums(
        users=len(pairs),
        n=sum(n for _, n in pairs),
        x=sum(x for x, _ in pairs),
        xx=sum(x * x for x, _ in pairs),
        xn=sum(x * n for x, n in pairs),
        nn=sum(n * n for _, n in pairs),
    )


def test_the_variance_of_a_ratio_has_the_value_that_was_worked_out_by_hand():
    candidate = cluster([(0, 2), (1, 4), (2, 4)])
    base = cluster([(0, 4), (1, 6), (0, 6), (1, 4)])

    assert (candidate.ratio, base.ratio) == (0.3, 0.1)
    assert candidate.variance == pytest.approx(0.0156)
    assert base.variance == pytest.approx(0.00346667, rel=1e-5)


def test_with_one_request_each_it_is_the_variance_of_a_mean():
    values = [1.0, 2.0, 4.0, 9.0]
    mean = sum(values) / 4
    expected = sum((value - mean) ** 2 for value in values) / 3 / 4

    assert cluster([(value, 1) for value in values]).variance == pytest.approx(expected)


def test_a_thousand_requests_of_one_user_are_one_draw():
    one_each = cluster([(number % 2, 1) for number in range(40)])
    a_thousand_each = cluster([(number % 2 * 1000, 1000) for number in range(40)])

    assert a_thousand_each.variance == pytest.approx(one_each.variance)


@pytest.mark.parametrize("pairs", [[], [(1, 3)]])
def test_nobody_and_one_user_have_no_variance(pairs: list[tuple[float, float]]):
    assert cluster(pairs).variance is None


def test_how_many_times_base_it_is_has_an_interval_of_its_own():
    base, candidate = cluster([(1.0, 1), (3.0, 1)] * 20), cluster([(2.0, 1), (4.0, 1)] * 20)
    found = ratio_difference(base, candidate)
    error = math.sqrt(40 / 39 / 40)
    factor = math.exp(1.959963984540054 * math.hypot(error / 2, error / 3))

    assert (found.ratio, found.relative) == (1.5, 0.5)
    assert found.ratio_low == pytest.approx(1.5 / factor)
    assert found.ratio_high == pytest.approx(1.5 * factor)


@pytest.mark.parametrize(("base", "candidate"), [(0.0, 1.0), (None, 1.0), (1.0, None)])
def test_without_a_base_there_is_no_ratio(base: float | None, candidate: float | None):
    found = difference(base, candidate)

    assert found.ratio is found.relative is None


def test_a_candidate_at_zero_has_a_ratio_and_no_interval_of_it():
    found = ratio_difference(cluster([(1, 1), (0, 1)] * 20), cluster([(0, 1), (1, 1), (-1, 1)] * 20))

    assert (found.ratio, found.ratio_low, found.ratio_high) == (0.0, None, None)
    assert found.low is not None
