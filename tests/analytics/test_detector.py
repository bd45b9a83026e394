"""Known answers of `statistics.md` for the watch after a rollout."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.detector import DAYS_APART, HOURS_APART, Detector, needs_days, score, watch
from analytics.evidence import ArmSums
from analytics.figures import ClusterSums


def alike(users: int, events: int) -> ArmSums:
    x = ClusterSums(users=users, n=users, x=events, xx=events, xn=events, nn=users)
    return ArmSums(requests=users, events=events, x=x)


def hours_to_alarm(z: float, threshold: float = HOURS_APART) -> int:
    detector, has_alarmed, hour = Detector(), False, 0
    while not has_alarmed:
        detector, has_alarmed = watch(detector, z, threshold=threshold)
        hour += 1
    return hour


@pytest.mark.parametrize(("z", "hours"), [(1, 16), (2, 5), (3, 3), (4, 2), (40, 2), (math.inf, 2)])
def test_a_constant_shift_alarms_after_so_many_hours(z: float, hours: int):
    assert hours_to_alarm(z) == hours


def test_the_level_after_one_hour():
    after, has_alarmed = watch(Detector(), 1.0)

    assert after.level == pytest.approx(1.337058, abs=1e-6)
    assert not has_alarmed


def test_an_alarm_begins_anew():
    detector, _ = watch(Detector(), 4.0)

    assert watch(detector, 4.0) == (Detector(), True)
    assert Detector().level == 0.0


def test_days_alarm_earlier():
    assert hours_to_alarm(1.0, DAYS_APART) < hours_to_alarm(1.0)


@settings(deadline=None)
@given(st.lists(st.floats(-1e300, 1e300), max_size=50))
def test_the_level_stays_a_number(scores: list[float]):
    detector = Detector()
    for z in scores:
        detector, _ = watch(detector, z)

    assert 0 <= detector.level < HOURS_APART


def test_false_alarms_are_at_least_as_far_apart_as_said():
    """Runs under a threshold of 50: their mean is at least 50, and within thrice that."""
    rng = random.Random(11)
    lengths: list[int] = []
    for _ in range(200):
        detector, has_alarmed, hour = Detector(), False, 0
        while not has_alarmed:
            detector, has_alarmed = watch(detector, rng.gauss(0, 1), threshold=50.0)
            hour += 1
        lengths.append(hour)

    assert 50 <= sum(lengths) / len(lengths) <= 150


def test_an_hour_is_measured_against_the_margin():
    reference = alike(10_000, 200)
    within, beyond = score(reference, alike(1000, 20), relative=0.25), score(reference, alike(1000, 60), relative=0.25)

    assert within is not None
    assert beyond is not None
    assert within < 0
    assert beyond > 3


def test_an_hour_with_one_user_says_nothing():
    assert score(alike(10_000, 200), alike(1, 1)) is None


def test_a_thin_reference_is_kept_by_days():
    assert not needs_days([30] * 95 + [29] * 5)
    assert needs_days([30] * 94 + [29] * 6)
    assert needs_days([])
