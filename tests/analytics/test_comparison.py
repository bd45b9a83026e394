from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from analytics.comparison import QUANTILES, RATIOS, arm_figures, differences
from analytics.figures import ClusterSums

PARTS = ("users", "n", "x", "xx", "xn", "nn")


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


def answered(**ratios: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Return one row of the question, with users' (x, n) for some ratios and nothing for the others."""
    row: dict[str, Any] = dict.fromkeys(("model", "failures", "total_cost_usd"))
    row |= dict.fromkeys(("requests", "users", "errors", "cost_unknown", "ratings"), 0)
    row |= dict.fromkeys(f"{name}_grid" for name in QUANTILES) | dict.fromkeys((f"{name}_of" for name in QUANTILES), 0)
    for name in (*RATIOS, *QUANTILES):
        sums = cluster(ratios[name]) if name in ratios else None
        row |= {f"{name}_{part}": getattr(sums, part, None) for part in PARTS}
    return row


def test_nothing_observed_is_none_and_never_zero():
    arm = arm_figures(answered())
    by = differences(answered(), answered())

    assert [getattr(arm, name).value for name in RATIOS] == [None] * len(RATIOS)
    assert arm.total_cost_usd is None
    assert all(one.value is one.relative is one.low is one.high is None for one in by.values())


def test_an_interval_needs_thirty_users():
    few = arm_figures(answered(error_rate=[(number % 2, 1) for number in range(29)]))
    enough = arm_figures(answered(error_rate=[(number % 2, 1) for number in range(30)]))

    assert (few.error_rate.low, few.error_rate.high) == (None, None)
    half = 1.959963984540054 * math.sqrt(0.25 / 29)
    assert enough.error_rate.low == pytest.approx(0.5 - half)
    assert enough.error_rate.high == pytest.approx(0.5 + half)


def test_no_failure_at_all_has_no_interval_for_it_proves_nothing():
    arm = arm_figures(answered(error_rate=[(0, 10)] * 50))

    assert (arm.error_rate.value, arm.error_rate.low, arm.error_rate.high) == (0.0, None, None)


def test_costs_that_are_all_the_same_have_no_interval_made_of_rounding():
    arm = arm_figures(answered(cost_usd=[(0.1 * n, n) for n in range(1, 60)]))

    assert arm.cost_usd.value == pytest.approx(0.1)
    assert arm.cost_usd.low is None


def test_the_interval_of_a_share_stays_within_0_and_1_and_a_cost_above_1_does_not():
    rare = arm_figures(answered(error_rate=[(0, 1)] * 40 + [(1, 1)]))
    usual = arm_figures(answered(satisfaction=[(1, 1)] * 40 + [(0, 1)]))
    dear = arm_figures(answered(cost_usd=[(5.0, 1), (7.0, 1)] * 20))

    assert rare.error_rate.low == 0.0
    assert usual.satisfaction.high == 1.0
    assert dear.cost_usd.high is not None
    assert dear.cost_usd.high > 6.0


def test_a_total_has_the_interval_of_as_many_users_drawn_anew():
    few = arm_figures(answered(cost_usd=[(2.0, 1)] * 29))
    alike = arm_figures(answered(cost_usd=[(2.0, 1)] * 40))
    apart = arm_figures(answered(cost_usd=[(1.0, 1), (3.0, 2)] * 20))

    assert few.total_cost_interval_usd is None
    assert alike.total_cost_interval_usd is None
    half = 1.959963984540054 * math.sqrt(40 / 39 * 40)
    assert apart.total_cost_interval_usd == pytest.approx((80 - half, 80 + half))


def test_a_difference_is_candidate_minus_base_with_both_variances():
    base = answered(cost_usd=[(1.0, 1), (3.0, 1)] * 20)
    candidate = answered(cost_usd=[(2.0, 1), (4.0, 1)] * 20)
    cost = differences(base, candidate)["cost_usd"]
    half = 1.959963984540054 * math.sqrt(2 * (40 / 39) / 40)

    assert (cost.value, cost.relative) == (1.0, 0.5)
    assert cost.low == pytest.approx(1.0 - half)
    assert cost.high == pytest.approx(1.0 + half)


def test_against_a_base_of_zero_nothing_is_relative():
    by = differences(answered(error_rate=[(0, 1)] * 40), answered(error_rate=[(1, 1), (0, 1)] * 20))

    assert (by["error_rate"].value, by["error_rate"].relative) == (0.5, None)
