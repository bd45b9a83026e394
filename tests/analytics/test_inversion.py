from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from analytics.figures import ClusterSums, Figure
from analytics.inversion import MIDDLE, levels, quantile_difference, quantile_figure


def beyond(users: int, requests: int, above: Sequence[int]) -> ClusterSums:
    """Return the sums of users with as many requests each, of which so many lie above the quantile."""
    return ClusterSums(
        users=users,
        n=users * requests,
        x=sum(above),
        xx=sum(x * x for x in above),
        xn=sum(x * requests for x in above),
        nn=users * requests**2,
    )


@pytest.mark.parametrize("quantile", [0.5, 0.99])
def test_levels_rise_around_the_quantile_which_is_the_middle_one(quantile: float):
    at = levels(quantile)

    assert at[MIDDLE] == quantile
    assert all(low < high for low, high in pairwise(at))
    assert at[0] > 0
    assert at[-1] < 1


def test_an_interval_ends_where_the_shares_interval_does():
    at = levels(0.5)
    values = [1000 * level for level in at]
    sums = beyond(400, 1, [1, 0] * 200)

    found = quantile_figure(0.5, values, 400, sums)

    half = 1000 * 1.959963984540054 * (0.25 / 399) ** 0.5
    assert found.value == 500.0
    assert found.low == pytest.approx(500 - half)
    assert found.high == pytest.approx(500 + half)


def test_nothing_observed_has_no_value_and_what_is_not_known_no_interval():
    at = levels(0.99)
    few = beyond(20, 1, [0] * 19 + [1])
    wide = beyond(40, 1, [0] * 39 + [1])

    assert quantile_figure(0.99, None, 0, few) == Figure(value=None, of=0)
    assert quantile_figure(0.99, at, 20, few) == Figure(value=0.99, of=20)
    assert quantile_figure(0.99, at, 40, wide) == Figure(value=0.99, of=40)


def test_two_intervals_give_those_of_the_difference_and_of_the_ratio():
    base, candidate = Figure(value=100.0, of=9, low=90.0, high=110.0), Figure(value=120.0, of=9, low=105.0, high=150.0)

    found = quantile_difference(base, candidate)

    assert found.value == 20.0
    assert found.low == pytest.approx(20 - (15**2 + 10**2) ** 0.5)
    assert found.high == pytest.approx(20 + (30**2 + 10**2) ** 0.5)
    assert found.ratio == pytest.approx(1.2)
    assert found.ratio_low is not None
    assert found.ratio_high is not None
    assert found.ratio_low < 1.2 < found.ratio_high


@pytest.mark.parametrize(
    ("base", "candidate"),
    [
        (Figure(value=None, of=0), Figure(value=1.0, of=1)),
        (Figure(value=1.0, of=1), Figure(value=1.0, of=1, low=0.5, high=2.0)),
        (Figure(value=0.0, of=9, low=0.0, high=1.0), Figure(value=1.0, of=9, low=0.5, high=2.0)),
    ],
)
def test_without_both_intervals_or_beside_nothing_there_is_no_interval_of_the_ratio(base: Figure, candidate: Figure):
    found = quantile_difference(base, candidate)

    assert (found.ratio_low, found.ratio_high) == (None, None)
    assert (found.low is None) == (base.low is None)


@pytest.mark.parametrize(("quantile", "truth"), [(0.5, 1.0), (0.99, 10.24)])
def test_it_holds_the_true_quantile_in_95_of_100_draws_of_users(quantile: float, truth: float):
    # Log-normal by user and by request, sd .6 and .8, so 1 together: the quantiles are exp(z).
    chance = random.Random(20)
    held = 0
    for _ in range(200):
        users = [[chance.gauss(0, 0.6)] * 20 for _ in range(150)]
        drawn = [[2.718281828 ** (mean + chance.gauss(0, 0.8)) for mean in user] for user in users]
        ordered = sorted(value for user in drawn for value in user)
        grid = [ordered[int(level * (len(ordered) - 1))] for level in levels(quantile)]
        above = [sum(value > grid[MIDDLE] for value in user) for user in drawn]
        found = quantile_figure(quantile, grid, len(ordered), beyond(150, 20, above))
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    assert 0.90 <= held / 200 <= 0.99
