"""Ratios of quantiles whose truth is known, and their agreement with PASS."""

from __future__ import annotations

import math
import random
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.evidence import ArmSums, CheckSums, capped_sums
from analytics.figures import ClusterSums
from analytics.proof import proof
from analytics.quantile import GRID, latency_ratio, ratio_words


def alike(users: int, events: int) -> ClusterSums:
    return ClusterSums(users=users, n=users, x=events, xx=events, xn=events, nn=users)


def base_arm(users: int, events: int) -> ArmSums:
    return ArmSums(requests=users, events=events, x=alike(users, events))


def lognormal(users: int, quantile: float, factor: float, spread: float = 0.67) -> dict[float, ClusterSums]:
    """Return how many users of one request each are slower than r·Q0, if their durations are `factor` times base's."""
    normal = NormalDist()
    edge = normal.inv_cdf(quantile)
    return {r: alike(users, round(users * normal.cdf(math.log(factor / r) / spread - edge))) for r in GRID}


@pytest.mark.parametrize("factor", [0.6, 0.9, 1.0, 1.08, 1.5, 1.9])
@pytest.mark.parametrize("quantile", [0.5, 0.99])
def test_the_ratio_is_found(factor: float, quantile: float):
    users = 1_000_000
    found = latency_ratio(base_arm(users, round(users * (1 - quantile))), lognormal(users, quantile, factor))

    assert found is not None
    assert found.value == pytest.approx(factor, rel=2e-3)
    assert found.low < factor < found.high
    assert found.high / found.low < 1.06


@pytest.mark.parametrize(
    ("factor", "expected"), [(0.3, (0.5, 0.5, 0.5)), (4.0, (2.0, 2.0, 2.0)), (1.98, (1.98, 1.96, 2.0))]
)
def test_off_the_grid_the_ends_stand_for_what_is_beyond(factor: float, expected: tuple[float, float, float]):
    found = latency_ratio(base_arm(100_000, 50_000), lognormal(100_000, 0.5, factor))

    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx(expected, rel=0.01)


def test_a_wider_multiplier_is_a_wider_interval():
    base, slower = base_arm(10_000, 100), lognormal(2000, 0.99, 1.1)
    narrow, wide = latency_ratio(base, slower), latency_ratio(base, slower, multiplier=3.5)

    assert narrow is not None
    assert wide is not None
    assert wide.value == narrow.value
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_plain_stretch_of_the_line_is_met_in_its_middle():
    """Neither arm has any request between 1 and 2: all factors there are as good."""
    slower = {r: alike(1000, 900 if r < 1 else 500 if r < 1.5 else 100) for r in GRID}
    found = latency_ratio(base_arm(1000, 500), slower)

    assert found is not None
    assert found.value == pytest.approx(math.sqrt(GRID[20] * GRID[31]), rel=1e-6)


def test_there_is_no_ratio_without_slow_requests_of_base_or_without_users():
    assert latency_ratio(base_arm(1000, 0), lognormal(1000, 0.5, 1.0)) is None
    assert latency_ratio(base_arm(1000, 500), {r: alike(1, 1) for r in GRID}) is None
    assert latency_ratio(base_arm(1000, 500), {}) is None


@settings(deadline=None)
@given(st.integers(50, 3000), st.floats(0.7, 1.6), st.floats(1.01, 1.9))
def test_the_bound_is_within_the_margin_if_the_look_passes(users: int, factor: float, margin: float):
    base = base_arm(9 * users, round(9 * users * 0.1))
    edge = NormalDist().inv_cdf(0.9)
    slower = lognormal(users, 0.9, factor)
    slower[margin] = alike(users, round(users * NormalDist().cdf(math.log(factor / margin) / 0.67 - edge)))
    found = latency_ratio(base, slower)
    look = proof(
        CheckSums(cap=1.0, base=base, candidate=ArmSums(requests=users, events=0, x=slower[GRID[20]], y=slower[margin]))
    )

    assert found is not None
    assert look is not None
    assert (found.high <= margin * (1 + 1e-9)) == look.is_pass


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Forty users of thirty requests each and their own speed, 40 times."""
    rng, held = random.Random(3), 0
    for _ in range(40):
        base = draw(rng, 120, 1.0)
        edge = sorted(ms for user in draw(rng, 400, 1.0) for ms in user)[6000]
        candidate = draw(rng, 40, 1.1)
        slower = {r: slower_than(candidate, edge * r) for r in GRID}
        x = slower_than(base, edge)
        found = latency_ratio(ArmSums(requests=3600, events=int(x.x), x=x), slower)
        held += found is not None and found.low <= 1.1 <= found.high

    assert held >= 34


def draw(rng: random.Random, users: int, factor: float) -> list[list[float]]:
    return [
        [factor * math.exp(speed + rng.gauss(0, 0.6)) for _ in range(30)]
        for speed in (rng.gauss(0, 0.3) for _ in range(users))
    ]


def slower_than(users: list[list[float]], edge: float) -> ClusterSums:
    return capped_sums([(len(user), sum(ms > edge for ms in user)) for user in users], 1e9)


@pytest.mark.parametrize(("ratio", "words"), [(0.5, "below 0.5"), (2.0, "above 2"), (1.078, "1.08"), (0.51, "0.51")])
def test_ratios_in_words(ratio: float, words: str):
    assert ratio_words(ratio) == words
