"""When costs and ratings of two arms may be set side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from analytics.comparability import are_ratings_comparable, cost_ratio, is_cost_comparable
from analytics.evidence import ArmSums, CheckSums, capped_sums


def arm(users: Sequence[tuple[float, float]]) -> ArmSums:
    return ArmSums(requests=len(users), events=0, x=capped_sums(users, 1e9))


def costs(base: list[float], candidate: list[float]) -> CheckSums:
    return CheckSums(cap=1.0, base=arm([(1, usd) for usd in base]), candidate=arm([(1, usd) for usd in candidate]))


def rated(users: int, share: float) -> ArmSums:
    many = round(users * share)
    return arm([(1, 1)] * many + [(1, 0)] * (users - many))


def test_the_ratio_of_costs_with_a_fixed_samples_interval():
    sums = costs([1.0, 3.0], [1.0, 1.0, 1.0, 3.0])
    found = cost_ratio(sums)
    spread = math.sqrt((0.5 / 1.5) ** 2 + (1.0 / 2.0) ** 2)

    assert found is not None
    assert found.value == pytest.approx(0.75)
    assert math.log(found.high / found.value) == pytest.approx(1.959964 * spread, rel=1e-6)
    assert found.low * found.high == pytest.approx(found.value**2)


@pytest.mark.parametrize(
    ("base", "candidate"), [([0.0, 0.0], [1.0, 2.0]), ([1.0, 2.0], [0.0, 0.0]), ([1.0], [1.0, 2.0]), ([], [])]
)
def test_there_is_no_ratio_of_nothing(base: list[float], candidate: list[float]):
    assert cost_ratio(costs(base, candidate)) is None


def test_costs_are_comparable_if_nearly_all_are_known():
    assert is_cost_comparable(0.95, 1.0)
    assert not is_cost_comparable(0.949, 1.0)
    assert not is_cost_comparable(1.0, 0.0)
    assert not is_cost_comparable(None, 1.0)


@pytest.mark.parametrize(
    ("users", "base", "candidate", "expected"),
    [
        (10_000, 0.20, 0.20, True),
        (10_000, 0.20, 0.25, False),
        (10_000, 0.25, 0.20, False),
        (10_000, 0.30, 0.32, True),
        (100, 0.20, 0.25, True),
    ],
)
def test_ratings_are_comparable_unless_feedback_differs_surely_and_much(
    users: int, base: float, candidate: float, *, expected: bool
):
    sums = CheckSums(cap=1.0, base=rated(users, base), candidate=rated(users, candidate))

    assert are_ratings_comparable(sums) is expected


def test_a_difference_that_is_sure_but_small_is_no_obstacle():
    sums = CheckSums(cap=1.0, base=rated(100_000, 0.5), candidate=rated(100_000, 0.54))

    assert are_ratings_comparable(sums) is True


def test_nothing_is_known_without_users():
    assert are_ratings_comparable(CheckSums(cap=1.0, base=rated(1, 1.0), candidate=rated(50, 0.5))) is None
