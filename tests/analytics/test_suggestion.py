"""What the search proposes to little, middling and much traffic, and what it never does."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.evidence import Check
from analytics.forecast import Tolerance, Week
from analytics.prospect import PlanRow, plan_chances
from analytics.suggestion import Suggestion, suggest, widen

CANARY: tuple[Check, ...] = ("errors", "p50", "p99")
ROWS = (
    PlanRow(phase="canary", percent=5, days=2),
    PlanRow(phase="canary", percent=10, days=5, checks=CANARY),
    PlanRow(phase="beta", percent=25, days=7),
    PlanRow(phase="beta", percent=50, days=7, checks=(*CANARY, "satisfaction")),
)
TOLERANCES: dict[Check, Tolerance] = {
    "errors": Tolerance(relative=0.25, absolute=0.002, alpha=0.01),
    "p50": Tolerance(ratio=1.1),
    "p99": Tolerance(ratio=1.2, min_requests=2000, alpha=0.004),
    "satisfaction": Tolerance(absolute=0.03, min_requests=300),
}


def week(rate: float, per_day: float, effect: float, users: float) -> Week:
    variance = effect * rate * (1 - rate) / per_day
    return Week(
        rate=rate,
        requests_per_day=per_day,
        users_day=0.4 * users,
        users=users,
        variance_day=variance,
        variance=variance / 7,
    )


def slower(quantile: float) -> dict[float, float]:
    edge = NormalDist().inv_cdf(quantile)
    return {2 ** (j / 20): NormalDist().cdf(-math.log(2) * j / 20 / 0.67 - edge) for j in range(21)}


def traffic(per_day: float, *, effect: float = 3.0, rated: float = 0.05) -> dict[Check, Week]:
    """Return a week at 1 % errors, lognormal durations, and a share of requests rated, of which 80 % thumbs up."""
    users = per_day / 3
    return {
        "errors": week(0.01, per_day, effect, users),
        "p50": msgspec.structs.replace(week(0.5, per_day, effect, users), slower=slower(0.5)),
        "p99": msgspec.structs.replace(week(0.01, per_day, effect, users), slower=slower(0.99)),
        "satisfaction": week(0.2, per_day * rated, effect, users * rated * 3),
    }


def suggested(weeks: dict[Check, Week], *, wanted: float = 0.8) -> Suggestion:
    found = suggest(ROWS, weeks, TOLERANCES, wanted=wanted)
    assert found is not None
    return found


@pytest.mark.parametrize("per_day", [5_000, 50_000, 500_000])
def test_what_is_proposed_reaches_eighty_percent(per_day: float):
    found = suggested(traffic(per_day))

    assert found.is_reached
    assert found.chance >= 0.8
    assert found.chances == plan_chances(found.rows, traffic(per_day), found.tolerances)
    assert found.chance == pytest.approx(math.prod(found.chances))


def test_much_traffic_keeps_its_plan():
    found = suggested(traffic(500_000))

    assert (found.rows, found.tolerances, found.widened) == (ROWS, TOLERANCES, ())


def test_little_traffic_waits_longer_and_shows_more_before_it_tolerates_more():
    found = suggested(traffic(5_000, rated=0.5))

    assert found.widened == ()
    assert (found.rows[1].percent, found.rows[1].days) > (10, 5)


def test_few_ratings_widen_the_margin_of_satisfaction_alone():
    found = suggested(traffic(50_000, rated=0.003))

    assert found.widened == ("satisfaction",)
    assert found.tolerances["satisfaction"].absolute > 0.03
    assert found.is_reached


def test_too_few_requests_are_told_as_they_are():
    found = suggested(traffic(150))

    assert not found.is_reached
    assert found.chance < 0.8
    assert max(one.days for one in found.rows) == 28
    assert "satisfaction" not in found.widened, "its 300 ratings do not come, whatever the margin"


def test_a_margin_of_nothing_is_left_at_nothing():
    strict: dict[Check, Tolerance] = {**TOLERANCES, "satisfaction": Tolerance(min_requests=300)}
    found = suggest(ROWS, traffic(500_000), strict)

    assert found is not None
    assert not found.is_reached
    assert found.tolerances["satisfaction"] == strict["satisfaction"]


def test_without_a_week_nothing_is_proposed():
    assert suggest(ROWS, {"errors": week(0.01, 5000, 3, 1000)}, TOLERANCES) is None


@settings(max_examples=15, deadline=None)
@given(st.floats(50, 1e6), st.floats(1, 20), st.floats(0.001, 0.6), st.floats(0.5, 0.95))
def test_a_plan_only_becomes_more_patient(per_day: float, effect: float, rated: float, wanted: float):
    weeks = traffic(per_day, effect=effect, rated=rated)
    found = suggested(weeks, wanted=wanted)

    assert found.is_reached == (found.chance >= wanted)
    assert found.chance >= math.prod(plan_chances(ROWS, weeks, TOLERANCES) or ()) or found.is_reached
    for before, after in zip(ROWS, found.rows, strict=True):
        assert (after.phase, after.checks) == (before.phase, before.checks)
        assert before.percent <= after.percent <= 50
        assert before.days <= after.days <= 28
    assert all(left.percent <= right.percent for left, right in pairwise(found.rows))
    for check, tolerance in TOLERANCES.items():
        wider = found.tolerances[check]
        assert (wider.min_users, wider.min_requests, wider.alpha) == (
            tolerance.min_users,
            tolerance.min_requests,
            tolerance.alpha,
        )
        assert wider.ratio >= tolerance.ratio
        assert wider.absolute >= tolerance.absolute


def test_margins_are_widened_in_round_figures():
    assert widen(TOLERANCES["errors"], 1.21, is_latency=False).relative == 0.3
    assert widen(TOLERANCES["errors"], 1.21, is_latency=False).absolute == 0.0024
    assert widen(TOLERANCES["p99"], 1.21, is_latency=True).ratio == 1.24
