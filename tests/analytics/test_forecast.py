"""The table of requests to PASS in `statistics.md`, and what a forecast may say."""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.evidence import ArmSums, CheckSums
from analytics.figures import ClusterSums
from analytics.forecast import (
    POWER_Z,
    Ahead,
    Tolerance,
    Week,
    days_to_decision,
    outlook,
    pass_error,
    pass_reach,
    requests_needed,
    share_slower,
    week_of,
)
from analytics.proof import PASS_Z, proof

NORMAL = NormalDist()
ERRORS = Tolerance(relative=0.25, absolute=0.002, alpha=0.01)
RATINGS = Tolerance(absolute=0.03, min_requests=300)


def week(rate: float, per_day: float, *, effect: float = 1.0, users: float = 1e6) -> Week:
    """Return a week of users who never return: the variance falls like 1/days."""
    variance = effect * rate * (1 - rate) / per_day
    return Week(
        rate=rate,
        requests_per_day=per_day,
        users_day=users / 7,
        users=users,
        variance_day=variance,
        variance=variance / 7,
    )


def latency(quantile: float, per_day: float) -> Week:
    """Return base's week with lognormal durations of a log standard deviation of .67."""
    edge = NORMAL.inv_cdf(quantile)
    slower = {2 ** (j / 20): NORMAL.cdf(-math.log(2) * j / 20 / 0.67 - edge) for j in range(21)}
    exact = {ratio: NORMAL.cdf(-math.log(ratio) / 0.67 - edge) for ratio in (1.1, 1.2)}
    return msgspec.structs.replace(week(1 - quantile, per_day), slower=slower | exact)


def to_pass(of: Week, tolerance: Tolerance, share: float) -> float:
    """Return the candidate requests by which an equal candidate passes with a chance of 80 %."""
    free = msgspec.structs.replace(tolerance, min_users=0, min_requests=0)
    days = days_to_decision(Ahead(week=of, tolerance=free), share)
    assert days is not None
    return days * of.requests_per_day * share


@pytest.mark.parametrize(
    ("rate", "share", "expected"),
    [
        (0.001, 0.05, 9172),
        (0.001, 0.10, 9313),
        (0.001, 0.25, 9851),
        (0.001, 0.50, 11464),
        (0.01, 0.05, 6970),
        (0.01, 0.10, 7321),
        (0.01, 0.25, 8653),
        (0.01, 0.50, 12650),
        (0.02, 0.05, 5130),
        (0.02, 0.10, 5417),
        (0.02, 0.25, 6507),
        (0.02, 0.50, 9778),
    ],
)
def test_the_requests_by_which_errors_pass(rate: float, share: float, expected: int):
    """With the floor for few events it takes more, where base has fewer than 25 by then."""
    found = to_pass(week(rate, 1000 / share), ERRORS, share)
    of_base = expected * rate * (1 - share) / share

    assert found == pytest.approx(expected, abs=1) if of_base >= 25 else found > expected


@pytest.mark.parametrize(
    ("quantile", "ratio", "share", "expected"),
    [
        (0.5, 1.1, 0.05, 646),
        (0.5, 1.1, 0.10, 682),
        (0.5, 1.1, 0.25, 818),
        (0.5, 1.1, 0.50, 1227),
        (0.99, 1.2, 0.05, 2892),
        (0.99, 1.2, 0.10, 3053),
        (0.99, 1.2, 0.25, 3663),
        (0.99, 1.2, 0.50, 5495),
    ],
)
def test_the_requests_by_which_latency_passes(quantile: float, ratio: float, share: float, expected: int):
    found = to_pass(latency(quantile, 500 / share), Tolerance(ratio=ratio), share)

    assert found == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(("share", "expected"), [(0.25, 2090), (0.5, 3020)])
def test_the_ratings_by_which_satisfaction_passes(share: float, expected: int):
    assert to_pass(week(0.2, 2000), RATINGS, share) == pytest.approx(expected, abs=1)


def test_three_times_the_variance_needs_three_times_the_requests():
    assert to_pass(week(0.01, 1e5, effect=3), ERRORS, 0.1) == pytest.approx(3 * 7321, rel=1e-3)


def test_the_error_foreseen_is_the_one_that_a_look_has():
    share, days, rate = 0.1, 5.0, 0.02
    requests = 100_000
    users_c, users_b = round(requests * days * share), round(requests * days * (1 - share))

    def arm(users: int) -> ArmSums:
        events = round(users * rate)
        x = ClusterSums(users=users, n=users, x=events, xx=events, xn=events, nn=users)
        return ArmSums(requests=users, events=events, x=x)

    look = proof(CheckSums(cap=1.0, base=arm(users_b), candidate=arm(users_c)), relative=0.25, absolute=0.002)

    assert look is not None
    ahead = Ahead(week=week(rate, requests), tolerance=ERRORS)
    assert pass_error(ahead, share, days) == pytest.approx(look.error, rel=1e-3)
    assert pass_reach(ahead, share, days) == pytest.approx(look.statistic - PASS_Z, rel=1e-3)


def of_two_parts(between: float, within: float, users_day: float, users: float) -> Week:
    """Return a week whose variance is `between` by its users, and `within` by its days."""
    return Week(
        rate=0.01,
        requests_per_day=5000,
        users_day=users_day,
        users=users,
        variance_day=between * users / users_day + within * 7,
        variance=between + within,
    )


@pytest.mark.parametrize("days", [0.5, 1.0, 3.0, 7.0, 28.0])
def test_what_returning_users_differ_by_stays(days: float):
    found = of_two_parts(3e-5, 2e-5, 600, 600).variance_at(days)

    assert found == pytest.approx(3e-5 + 2e-5 * 7 / days)


def test_what_new_users_differ_by_falls_as_they_come():
    """From 200 users in a day to 600 in a week, and as much more in the next three."""
    found = of_two_parts(3e-5, 2e-5, 200, 600)

    assert found.variance_at(1) == pytest.approx(3e-5 * 3 + 2e-5 * 7)
    assert found.variance_at(28) == pytest.approx(3e-5 * 600 / found.users_at(28) + 2e-5 / 4)


@pytest.mark.parametrize(
    ("day", "users_day", "exponent"), [(0.0002, 600, 0.0), (0.9, 600, 1.0), (0.0, 600, 0.0), (0.0014, 100, 1.0)]
)
def test_the_parts_are_kept_within_the_whole(day: float, users_day: float, exponent: float):
    odd = Week(rate=0.01, requests_per_day=5000, users_day=users_day, users=700, variance_day=day, variance=0.0002)

    assert msgspec.structs.replace(odd, users=users_day if exponent < 1 else 700).variance_at(28) == pytest.approx(
        0.0002 * 4**-exponent
    )


def test_users_grow_slower_than_days():
    some = msgspec.structs.replace(week(0.01, 5000), users_day=200, users=600)

    assert some.users_at(1) == pytest.approx(200)
    assert some.users_at(7) == pytest.approx(600)
    assert 600 < some.users_at(28) < 2400
    assert msgspec.structs.replace(some, users=0).users_at(7) == 0


def test_a_week_of_one_day_is_taken_as_it_is():
    short = msgspec.structs.replace(week(0.01, 5000, users=100), days=1.0)

    assert short.users_at(4) == 100
    assert short.variance_at(2) == pytest.approx(short.variance / 2)


def test_less_than_three_days_of_base_foresee_nothing():
    short = msgspec.structs.replace(week(0.01, 5000), days=2.9)

    assert outlook(Ahead(week=short, tolerance=ERRORS), share=0.1, days=5) is None


def test_a_forecast_says_chance_days_and_what_can_be_seen():
    ahead = Ahead(week=week(0.01, 73_210 / 5), tolerance=ERRORS)
    found = outlook(ahead, share=0.1, days=5)

    assert found is not None
    assert found.chance == pytest.approx(0.8, abs=1e-4)
    assert found.days == pytest.approx(5.0, rel=1e-3)
    assert found.slack == pytest.approx(0.0045)
    assert found.provable == pytest.approx(0.0045, rel=1e-3)
    assert found.requests == pytest.approx(7321)
    spread = math.sqrt(0.0099 / 7321 / 0.9)
    assert found.detectable == pytest.approx((2.807 + POWER_Z) * spread, rel=1e-3)


def test_below_minima_nothing_passes_and_later_it_does():
    few = Ahead(week=week(0.0005, 2000, users=700), tolerance=Tolerance(absolute=0.2))
    found = outlook(few, share=0.1, days=2)

    assert found is not None
    assert found.chance == 0.0
    assert found.days == pytest.approx(10.0, rel=1e-4)


def test_a_margin_that_no_rate_can_break_is_not_provable():
    assert pass_reach(Ahead(week=week(0.9, 1e6), tolerance=ERRORS), 0.1, 7) == -math.inf


def test_without_margin_an_equal_candidate_passes_by_luck_alone():
    strict = Ahead(week=week(0.2, 1e6), tolerance=Tolerance())

    assert pass_reach(strict, 0.5, 7) == pytest.approx(-PASS_Z)
    assert days_to_decision(strict, 0.5) is None


def test_no_traffic_proves_nothing():
    silent = Week(rate=0.0, requests_per_day=0, users_day=0, users=0, variance_day=0, variance=0)
    found = outlook(Ahead(week=silent, tolerance=ERRORS), share=0.1, days=7)

    assert found is not None
    assert (found.chance, found.days, found.users, found.requests) == (0.0, None, 0.0, 0.0)

    boundless = Ahead(week=silent, tolerance=Tolerance(absolute=0.1, min_users=0, min_requests=0))
    assert pass_reach(boundless, 0.1, 7) == pytest.approx(-PASS_Z)


def test_without_errors_of_base_the_floor_decides():
    flawless = Ahead(week=week(0.0, 57_510), tolerance=msgspec.structs.replace(ERRORS, min_users=0))

    assert pass_reach(flawless, 0.1, 1.0) == pytest.approx(0.0, abs=1e-3)


@settings(deadline=None)
@given(
    st.floats(1e-5, 0.9), st.floats(1, 1e7), st.floats(1, 30), st.floats(0.001, 0.999), st.floats(0.1, 28),
    st.floats(1, 4),
)  # fmt: skip
def test_waiting_never_makes_a_pass_less_likely(
    rate: float, per_day: float, effect: float, share: float, days: float, longer: float
):
    ahead = Ahead(week=week(rate, per_day, effect=effect), tolerance=ERRORS)

    assert pass_reach(ahead, share, days * longer) >= pass_reach(ahead, share, days) - 1e-9


def test_a_week_is_what_bases_days_were_as_of_all_users():
    """Three days with the same 50 users of one request each, while 80 % of users were in base."""
    day = ArmSums(requests=60, events=5, x=ClusterSums(users=50, n=50, x=5, xx=5, xn=5, nn=50))
    quiet = ArmSums(requests=0, events=0, x=ClusterSums(users=1, n=1, x=0, xx=0, xn=0, nn=1))
    whole = ArmSums(requests=120, events=10, x=ClusterSums(users=50, n=100, x=10, xx=20, xn=20, nn=200))
    found = week_of(whole, [day, day, quiet], base_share=0.8, slower={1.0: 0.1})

    assert found is not None
    assert (found.rate, found.days, found.slower) == (0.1, 3.0, {1.0: 0.1})
    assert found.requests_per_day == pytest.approx(40 / 0.8)
    assert (found.users_day, found.users) == (pytest.approx(101 / 3 / 0.8), pytest.approx(62.5))
    assert found.variance == pytest.approx(0.8 * (whole.x.variance or 0))
    assert found.variance_day == pytest.approx(0.8 * (day.x.variance or 0))
    assert week_of(whole, [quiet], base_share=1.0) is None
    assert week_of(quiet, [day], base_share=1.0) is None


def test_the_share_slower_is_read_between_known_ratios():
    slower = {1.0: 0.4, 2.0: 0.2}

    assert share_slower(slower, math.sqrt(2)) == pytest.approx(0.3)
    assert (share_slower(slower, 0.5), share_slower(slower, 3.0)) == (0.4, 0.2)


def test_the_requests_that_a_likely_pass_needs():
    error = math.sqrt(0.01 / 500)

    assert requests_needed(500, slack=0.03, error=error) == pytest.approx(0.01 * (PASS_Z + POWER_Z) ** 2 / 0.03**2)
    assert requests_needed(500, slack=0.0, error=error) is None
