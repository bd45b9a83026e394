"""The chance of coming through a row and a plan: against closed forms, and against dice."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.evidence import Check
from analytics.forecast import Ahead, Tolerance, Week, pass_reach
from analytics.prospect import PlanRow, both_below, minima_chance, plan_chances, row_chance

TOLERANCES: dict[Check, Tolerance] = {
    "errors": Tolerance(relative=0.25, absolute=0.002),
    "satisfaction": Tolerance(absolute=0.03, min_requests=300),
}
places = st.floats(-9, 9)


def week(rate: float, per_day: float, users: float = 50_000) -> Week:
    variance = rate * (1 - rate) / per_day
    return Week(
        rate=rate,
        requests_per_day=per_day,
        users_day=users / 7,
        users=users,
        variance_day=variance,
        variance=variance / 7,
    )


def errors_alone(rate: float, per_day: float, users: float = 50_000) -> dict[Check, Week]:
    return {"errors": week(rate, per_day, users)}


def row(percent: float, days: float, *checks: Check) -> PlanRow:
    return PlanRow(phase="canary", percent=percent, days=days, checks=checks)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.7071, 0.93])
def test_both_halves_are_sheppards(correlation: float):
    expected = 0.25 + math.asin(correlation) / (2 * math.pi)

    assert both_below(0.0, 0.0, correlation) == pytest.approx(expected, abs=1e-5)


@settings(deadline=None)
@given(places, places)
def test_without_correlation_chances_multiply(one: float, other: float):
    expected = NormalDist().cdf(one) * NormalDist().cdf(other)

    assert both_below(one, other, 0.0) == pytest.approx(expected, abs=1e-5)


@settings(deadline=None)
@given(places, places, st.floats(0, 0.94))
def test_both_is_rarer_than_each_and_the_same_either_way(one: float, other: float, correlation: float):
    both = both_below(one, other, correlation)

    assert both <= min(NormalDist().cdf(one), NormalDist().cdf(other)) + 1e-5
    assert both == pytest.approx(both_below(other, one, correlation), abs=1e-5)


def test_what_never_happens_does_not_happen_with_something_else():
    assert both_below(-math.inf, 3.0, 0.5) == both_below(3.0, -math.inf, 0.5) == 0.0
    assert both_below(math.inf, math.inf, 0.5) == pytest.approx(1.0)


def test_looks_that_see_the_same_pass_together():
    assert both_below(0.3, 0.5, 1.0) == NormalDist().cdf(0.3)
    assert both_below(0.3, 0.5, 0.998) == pytest.approx(NormalDist().cdf(0.3), abs=0.02)


def test_an_inner_row_needs_users_and_requests_by_its_second_look():
    assert row_chance(row(5, 2), errors_alone(0.01, 20_000, users=20_000), TOLERANCES) == pytest.approx(1.0, abs=1e-6)
    assert row_chance(row(5, 2), errors_alone(0.01, 20_000, users=2000), TOLERANCES) < 0.001
    assert row_chance(row(5, 2), errors_alone(0.01, 500, users=20_000), TOLERANCES) < 0.001
    silent = msgspec.structs.replace(week(0.01, 500), requests_per_day=0.0, users=0.0, users_day=0.0)
    assert row_chance(row(5, 2), {"errors": silent}, TOLERANCES) == 0.0


def test_as_many_users_as_are_needed_come_every_other_time():
    """Dice: who of 2,000 users falls into the five percent."""
    rng = random.Random(2)
    enough = sum(sum(rng.random() < 0.05 for _ in range(2000)) >= 100 for _ in range(300)) / 300
    found = minima_chance(week(0.01, 1e6, users=2000), 0.05, 7, users=100, requests=1)

    assert found == pytest.approx(enough, abs=0.08)
    assert minima_chance(week(0.01, 1e6, users=2400), 0.05, 7, users=100, requests=1) > 0.95


def test_one_check_passes_at_either_look():
    """Dice: the excess at D, and at 2D with as much again."""
    weeks, one = errors_alone(0.01, 12_000), row(10, 5, "errors")
    early = pass_reach(Ahead(week=weeks["errors"], tolerance=TOLERANCES["errors"]), 0.1, 5)
    late = pass_reach(Ahead(week=weeks["errors"], tolerance=TOLERANCES["errors"]), 0.1, 10)
    rng, runs, passed = random.Random(9), 20_000, 0
    for _ in range(runs):
        first, second = rng.gauss(0, 1), rng.gauss(0, 1)
        passed += first <= early or (first + second) / math.sqrt(2) <= late

    assert row_chance(one, weeks, TOLERANCES) == pytest.approx(passed / runs, abs=0.01)


def test_all_checks_must_pass_at_the_same_look():
    weeks: dict[Check, Week] = {"errors": week(0.01, 12_000), "satisfaction": week(0.2, 1200)}
    errors, satisfaction = row(25, 5, "errors"), row(25, 5, "satisfaction")
    both = row_chance(row(25, 5, "errors", "satisfaction"), weeks, TOLERANCES)

    assert both < row_chance(errors, weeks, TOLERANCES) * row_chance(satisfaction, weeks, TOLERANCES)


def test_a_plans_rows_have_each_their_chance():
    rows = [row(5, 2), row(10, 5, "errors")]
    weeks = errors_alone(0.01, 12_000)

    assert plan_chances(rows, weeks, TOLERANCES) == tuple(row_chance(each, weeks, TOLERANCES) for each in rows)


def test_a_check_without_three_days_of_base_leaves_the_plan_unknown():
    short = msgspec.structs.replace(week(0.01, 12_000), days=2.0)

    assert plan_chances([row(10, 5, "errors")], {"errors": short}, TOLERANCES) is None
    assert plan_chances([row(10, 5, "satisfaction")], {"errors": week(0.01, 12_000)}, TOLERANCES) is None
    assert plan_chances([row(10, 5)], {}, TOLERANCES) is None


def test_where_nothing_ever_failed_the_looks_are_taken_as_of_one_sum():
    weeks = errors_alone(0.0, 80_000)

    assert 0.5 < row_chance(row(10, 1, "errors"), weeks, TOLERANCES) <= 1.0
