"""Known answers of `statistics.md`, exact fractions beside the sums, and how often equal arms are killed."""

from __future__ import annotations

import math
import random
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.evidence import FailingUsers
from analytics.fastkill import Counter, allowed_share, counters, hours_watched, ln_odds

counts = st.integers(0, 10_000)
shares = st.floats(1e-4, 0.999)


@pytest.mark.parametrize(
    ("share", "candidate", "base", "expected"),
    [
        (0.05, 2, 0, 93.21),
        (0.05, 3, 0, 1132.79),
        (0.05, 5, 2, 8040.43),
        (0.10, 3, 0, 156.95),
        (0.10, 4, 0, 1029.81),
    ],
)
def test_the_odds_of_few_failing_users(share: float, candidate: int, base: int, expected: float):
    assert math.exp(ln_odds(candidate, base, allowed_share(share, 0.25))) == pytest.approx(expected, abs=0.005)


def exactly(candidate: int, base: int, rho: Fraction) -> float:
    """Return the same as the formula has it, in fractions."""
    number = candidate + base + 1
    tail = sum(math.comb(number, k) * rho**k * (1 - rho) ** (number - k) for k in range(candidate + 1))
    beta = Fraction(math.factorial(candidate) * math.factorial(base), math.factorial(number))
    odds = beta * tail / (rho**candidate * (1 - rho) ** (base + 1))
    return math.log(odds.numerator) - math.log(odds.denominator)


@pytest.mark.parametrize("rho", [Fraction(1, 100), Fraction(1, 16), Fraction(1, 2), Fraction(9, 10)])
@pytest.mark.parametrize("candidate", [0, 1, 5, 20, 90])
@pytest.mark.parametrize("base", [0, 1, 2, 30, 90])
def test_the_sum_is_the_fraction(candidate: int, base: int, rho: Fraction):
    assert ln_odds(candidate, base, float(rho)) == pytest.approx(exactly(candidate, base, rho), abs=1e-11)


@settings(deadline=None)
@given(counts, counts, shares)
def test_one_more_failing_candidate_is_more_evidence_and_one_of_base_less(candidate: int, base: int, rho: float):
    odds = ln_odds(candidate, base, rho)

    assert ln_odds(candidate + 1, base, rho) > odds
    assert ln_odds(candidate, base + 1, rho) < odds


@settings(deadline=None)
@given(counts, counts, shares, st.floats(1.001, 2.0))
def test_a_greater_allowance_is_less_evidence(candidate: int, base: int, rho: float, more: float):
    assert ln_odds(candidate, base, min(0.9995, rho * more)) <= ln_odds(candidate, base, rho) + 1e-9


@pytest.mark.parametrize("rho", [1e-6, 0.0617, 0.5, 0.999])
def test_a_million_failing_users_are_counted_smoothly(rho: float):
    """From one way of summing to the other nothing jumps: each user weighs a little more than the one before."""
    mean = round(1_000_000 * rho)
    odds = [ln_odds(mean + k, 1_000_000 - mean, rho) for k in range(-4, 6) if mean + k >= 0]
    steps = [after - before for before, after in pairwise(odds)]

    assert all(step > 0 for step in steps)
    assert steps == pytest.approx(sorted(steps), abs=1e-7)
    assert all(math.isfinite(ln_odds(c, b, rho)) for c, b in [(10**6, 0), (0, 10**6), (10**6, 10**6), (10**7, 10**7)])


def test_every_kind_has_two_counters_and_its_own_alarm():
    failing = [
        FailingUsers(kind="failure", base=0, candidate=3, hour_base=0, hour_candidate=3),
        FailingUsers(kind="client_error", base=5, candidate=0),
    ]
    found = counters(failing, percent=5.0, relative=0.25, alpha=0.005, hours=96.0)
    needed = {(each.kind, each.window): math.exp(each.ln_needed) for each in found}

    assert needed == {
        ("failure", "step"): pytest.approx(500),
        ("failure", "hour"): pytest.approx(48_000),
        ("client_error", "step"): pytest.approx(2000),
        ("client_error", "hour"): pytest.approx(192_000),
    }
    assert [(each.kind, each.window) for each in found if each.is_alarming] == [("failure", "step")]
    assert (found[0].kind, found[0].window, found[0].candidate, found[0].base) == ("failure", "step", 3, 0)


def test_the_hour_sees_an_outage_behind_old_failures():
    failing = FailingUsers(kind="failure", base=400, candidate=30, hour_base=1, hour_candidate=9)
    found = {each.window: each for each in counters([failing], percent=5.0, relative=0.25, alpha=0.005, hours=96.0)}

    assert not found["step"].is_alarming
    assert found["hour"].is_alarming


@pytest.mark.parametrize("percent", [0.0, 100.0])
def test_without_two_arms_there_is_no_counter(percent: float):
    assert (
        counters([FailingUsers(kind="failure", candidate=50)], percent=percent, relative=0.25, alpha=0.005, hours=1)
        == ()
    )


def test_a_moment_is_watched_as_one_hour():
    found = counters([FailingUsers(kind="failure")], percent=5.0, relative=0.0, alpha=0.005, hours=0.1)

    assert all(isinstance(each, Counter) and each.ln_needed == pytest.approx(math.log(500)) for each in found)


def test_a_step_of_two_days_is_watched_for_ninety_six_hours():
    assert hours_watched(2 * 86_400.0) == hours_watched(96.0, hour_s=2.0) == 96.0


def test_the_allowance_is_the_share_of_users_who_fail_a_margin_more_often():
    assert allowed_share(0.5, 0.0) == 0.5
    assert allowed_share(0.05, 0.25) == pytest.approx(0.0625 / 1.0125)


def test_candidates_at_the_margin_are_killed_no_oftener_than_said():
    """300 walks of 150 failing users, at odds of 20: at most 5 %, looked at after each user."""
    rng, rho, needed = random.Random(7), allowed_share(0.1, 0.25), math.log(20)
    killed = 0
    for _ in range(300):
        candidate = base = 0
        for _ in range(150):
            if rng.random() < rho:
                candidate += 1
                if ln_odds(candidate, base, rho) >= needed:
                    killed += 1
                    break
            else:
                base += 1

    assert killed <= 300 * (0.05 + 3 * math.sqrt(0.05 * 0.95 / 300))
