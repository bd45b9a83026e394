"""Known answers of `statistics.md` and of printed tables, and each formula once more, written another way."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from fractions import Fraction

import pytest

from analytics.srm import chi_square_tail, evenness, log_odds, sample_ratio

SAVVI = (0.1, 0.4, 0.5)


@pytest.mark.parametrize(("counts", "expected"), [((40, 129, 232), 0.0545492), ((40, 129, 233), 0.04845591105969517)])
def test_the_odds_are_those_of_savvi(counts: Sequence[int], expected: float):
    assert math.exp(-log_odds(counts, SAVVI, 100)) == pytest.approx(expected, rel=1e-6)


def test_savvis_last_known_answer_to_the_ninth_digit():
    assert math.exp(-log_odds((40, 129, 233), SAVVI, 100)) == pytest.approx(0.04845591105969517, rel=1e-9)


@pytest.mark.parametrize(("candidates", "expected"), [(620, 11.62907), (560, 2.08302), (500, -1.20047)])
def test_ten_thousand_users_at_five_percent(candidates: int, expected: float):
    found = sample_ratio(10_000 - candidates, candidates, 5.0)

    assert found.log_odds == pytest.approx(expected, abs=5e-6)
    assert found.is_alarming == (candidates == 620)
    assert (found.users, found.share, found.expected_share) == (10_000, candidates / 10_000, 0.05)


def by_prediction(draws: Sequence[int], shares: Sequence[Fraction], concentration: int) -> Fraction:
    """Multiply, user by user, what Laplace's rule foretold of the arm by what the flag says: exact, and no gamma."""
    odds, seen = Fraction(1), [0] * len(shares)
    for number, arm in enumerate(draws):
        odds *= (concentration * shares[arm] + seen[arm]) / (concentration + number) / shares[arm]
        seen[arm] += 1
    return odds


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_odds_are_the_product_of_predictions_user_by_user(seed: int):
    rng = random.Random(seed)
    draws = [int(rng.random() < 0.8) for _ in range(300)]
    exact = by_prediction(draws, (Fraction(1, 4), Fraction(3, 4)), 1000)

    counts = (draws.count(0), draws.count(1))
    assert log_odds(counts, (0.25, 0.75)) == pytest.approx(math.log(exact), abs=1e-9)


def test_without_users_nothing_is_known():
    found = sample_ratio(0, 0, 10.0)

    assert (found.share, found.log_odds, found.is_alarming) == (None, pytest.approx(0.0), False)


@pytest.mark.parametrize(
    ("base", "candidates", "percent", "strangers"),
    [(50, 0, 0.0, 0), (50, 1, 0.0, 1), (0, 50, 100.0, 0), (1, 50, 100.0, 1)],
)
def test_where_one_arm_is_due_everybody_one_user_of_the_other_is_wrong(
    base: int, candidates: int, percent: float, strangers: int
):
    found = sample_ratio(base, candidates, percent)

    assert (found.log_odds, found.is_alarming) == (None, strangers > 0)


@pytest.mark.parametrize(
    ("square", "freedom", "chance"),
    [
        (3.841, 1, 0.05),
        (6.635, 1, 0.01),
        (5.991, 2, 0.05),
        (18.307, 10, 0.05),
        (29.588, 10, 0.001),
        (24.996, 15, 0.05),
        (124.342, 100, 0.05),
        (135.807, 100, 0.01),
        (149.449, 100, 0.001),
        (123.225, 99, 0.05),
        (134.642, 99, 0.01),
        (148.230, 99, 0.001),
        (69.230, 99, 0.99),
    ],
)
def test_the_tail_is_that_of_the_printed_tables(square: float, freedom: int, chance: float):
    assert chi_square_tail(square, freedom) == pytest.approx(chance, rel=1e-3)


def by_integration(square: float, freedom: int) -> float:
    """Add up the density by Simpson's rule, from the value on to where nothing is left."""
    steps, end = 20_000, square + 40 * math.sqrt(2 * freedom) + 200
    width = (end - square) / steps

    def density(x: float) -> float:
        half = freedom / 2
        return math.exp((half - 1) * math.log(x) - x / 2 - half * math.log(2) - math.lgamma(half))

    return (
        width
        / 3
        * math.fsum(
            density(square + k * width) * (1 if k in {0, steps} else 4 if k % 2 else 2) for k in range(steps + 1)
        )
    )


@pytest.mark.parametrize(("square", "freedom"), [(0.5, 3), (7.0, 4), (99.0, 99), (60.0, 99), (180.0, 99), (140.0, 101)])
def test_the_tail_is_the_integral_of_the_density(square: float, freedom: int):
    assert chi_square_tail(square, freedom) == pytest.approx(by_integration(square, freedom), rel=1e-7)


def test_the_tail_of_nothing_is_everything_and_of_very_much_nothing():
    assert chi_square_tail(0.0, 99) == 1.0
    assert chi_square_tail(1e6, 99) == chi_square_tail(1e6, 100) == 0.0


def test_users_that_lie_evenly_are_no_alarm_and_a_bin_twice_as_full_is():
    rng = random.Random(7)
    even = [0] * 100
    for _ in range(20_000):
        even[rng.randrange(100)] += 1
    uneven = [count * 2 if place == 42 else count for place, count in enumerate(even)]
    fair, wrong = evenness(even), evenness(uneven)

    assert fair.chi_square == pytest.approx(sum(count * count for count in even) / 200 - 20_000)
    assert (fair.is_alarming, wrong.is_alarming) == (False, True)
    assert (fair.users, fair.bins, fair.fewest, fair.most) == (20_000, 100, min(even), max(even))
    assert 0.01 < (fair.chance or 0) < 0.99


def test_of_few_users_nothing_is_said():
    few, enough = evenness([4] * 99 + [103]), evenness([5] * 100)

    assert (few.users, few.least_users, few.chi_square, few.chance, few.is_alarming) == (499, 500, None, None, False)
    assert (enough.chi_square, enough.chance) == (0.0, 1.0)


def test_false_alarms_are_as_rare_as_promised():
    rng = random.Random(11)
    alarms = 0
    for _ in range(300):
        candidates = 0
        for users in range(1, 401):
            candidates += rng.random() < 0.1
            if users % 20 == 0 and sample_ratio(users - candidates, candidates, 10.0).is_alarming:
                alarms += 1
                break

    assert alarms <= 2
