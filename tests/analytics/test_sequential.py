"""Known answers of `statistics.md` and of confseq, and what must be true of every pair of arms."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.evidence import ArmSums, CheckSums, capped_sums
from analytics.figures import ClusterSums
from analytics.proof import proof
from analytics.sequential import (
    contrast,
    is_failed,
    is_worse,
    kappa,
    ln_evidence,
    ln_threshold,
    look_threshold,
    may_fail,
    optimum,
    safe_multiplier,
    tolerated,
)

levels = st.floats(1e-6, 0.49)
clocks = st.floats(1e-12, 1e14)
scores = st.floats(-1e6, 1e6)
arm_of_users = st.lists(
    st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=2, max_size=60
)


def arm(users: list[tuple[int, int]], cap: float = 1e9) -> ArmSums:
    return ArmSums(requests=sum(n for n, _ in users), events=sum(x for _, x in users), x=capped_sums(users, cap))


def known() -> CheckSums:
    """Return the arms of the third known answer."""
    return CheckSums(
        cap=6.0, base=arm([(4, 0), (6, 1), (6, 0), (4, 1)], 6.0), candidate=arm([(2, 0), (4, 1), (4, 2)], 6.0)
    )


def root(wanted: float, clock: float, best: float, level: float) -> float:
    """Return the z at which ln E is `wanted`, by bisection."""
    low, high = 0.0, 100.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if ln_evidence(middle, clock, best, level) < wanted else (low, middle)
    return low


def test_evidence_is_that_of_confseq():
    assert ln_evidence(10 / math.sqrt(100), 100, 100, 0.05) == pytest.approx(-0.06502391, abs=1e-6)


def test_evidence_reaches_twenty_where_confseq_has_its_boundary():
    assert root(math.log(20), 100, 100, 0.05) * math.sqrt(100) == pytest.approx(27.66071, abs=1e-4)


@pytest.mark.parametrize(("share", "expected"), [(0.1, 4.316), (0.25, 3.773), (0.5, 3.613), (1, 3.572), (2, 3.596)])
def test_how_many_standard_errors_alarm_at_each_share_of_the_optimum(share: float, expected: float):
    assert root(ln_threshold(0.01), share * 50, 50, 0.005) == pytest.approx(expected, abs=1e-3)


def test_the_delta_methods_known_answer():
    found = contrast(known())

    assert found is not None
    assert (found.base, found.candidate) == (pytest.approx(0.1), pytest.approx(0.3))
    assert known().base.x.variance == pytest.approx(0.00346667, abs=1e-8)
    assert known().candidate.x.variance == pytest.approx(0.0156)
    assert found.z == pytest.approx(1.448414, abs=1e-6)
    assert found.clock == pytest.approx(1.906667, abs=1e-6)


@pytest.mark.parametrize(("level", "expected"), [(0.005, 1.361049), (0.05, 1.664757)])
def test_the_evidence_of_the_known_arms(level: float, expected: float):
    found = contrast(known())

    assert found is not None
    assert math.exp(ln_evidence(found.z, found.clock, found.clock, level)) == pytest.approx(expected, abs=1e-6)


def test_the_safe_interval_of_the_known_arms():
    found = contrast(known())

    assert found is not None
    multiplier = safe_multiplier(found.clock, found.clock)
    assert multiplier is not None
    assert multiplier * found.error == pytest.approx(0.419108, abs=1e-6)
    assert kappa(0.025) == pytest.approx(7.936, abs=1e-3)


@pytest.mark.parametrize(("alpha", "expected"), [(0.01, 2.807), (0.004, 3.090), (0.002, 3.291)])
def test_the_thresholds_of_looks(alpha: float, expected: float):
    assert look_threshold(alpha) == pytest.approx(expected, abs=5e-4)
    assert math.exp(ln_threshold(alpha)) == pytest.approx(2 / alpha)


@pytest.mark.parametrize("level", [0.0, -1.0, 0.5, 1.0, math.nan])
def test_a_level_outside_its_range_is_refused(level: float):
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        kappa(level)


@settings(deadline=None)
@given(scores, st.floats(0, 1e6), clocks, clocks, levels)
def test_more_standard_errors_are_never_less_evidence(z: float, more: float, clock: float, best: float, level: float):
    less, greater = ln_evidence(z, clock, best, level), ln_evidence(z + more, clock, best, level)

    assert greater >= less - 1e-9 * max(1.0, abs(less))


@pytest.mark.parametrize("clock", [1e-300, 1e-3, 1.0, 1e14, 1e300])
@pytest.mark.parametrize("z", [-1e300, -1e9, -40.0, 0.0, 40.0, 1e9, 1e300])
@pytest.mark.parametrize("best", [5e-324, 1.0, 1e300])
def test_evidence_is_never_without_a_value(z: float, clock: float, best: float):
    multiplier = safe_multiplier(clock, best)

    assert not math.isnan(ln_evidence(z, clock, best, 0.005))
    assert multiplier is None or math.isfinite(multiplier)


def test_no_variance_is_no_evidence():
    assert ln_evidence(5.0, 0.0, 1.0, 0.01) == ln_evidence(5.0, 1.0, 0.0, 0.01) == 0.0
    assert safe_multiplier(0.0, 1.0) is None
    assert safe_multiplier(1.0, 0.0) is None
    assert optimum(0.0, dwell_s=100.0, running_s=1.0) is None


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("level", [0.001, 0.05, 0.3])
def test_evidence_averages_to_one_without_a_difference(share: float, level: float):
    """E is a mixture of likelihood ratios against 0: its mean over a standard normal Z is 1, whatever V."""
    step, scale = 0.02, math.sqrt(2 * math.pi)
    scores = [k * step for k in range(-3000, 3001)]
    mean = math.fsum(math.exp(ln_evidence(z, share, 1.0, level) - z * z / 2) for z in scores) * step / scale

    assert mean == pytest.approx(1.0, abs=1e-9)


def test_the_optimum_is_foreseen_from_the_running_time_of_at_least_an_hour():
    assert optimum(2.0, dwell_s=48 * 3600.0, running_s=6 * 3600.0) == pytest.approx(16.0)
    assert optimum(2.0, dwell_s=48 * 3600.0, running_s=60.0) == pytest.approx(96.0)
    assert optimum(2.0, dwell_s=96.0, running_s=1.0, hour_s=2.0) == pytest.approx(96.0)


def test_two_users_of_an_arm_are_the_least_that_compare():
    alone = ArmSums(requests=5, events=1, x=ClusterSums(users=1, n=5, x=1, xx=1, xn=5, nn=25))
    nobody = ArmSums(requests=0, events=0, x=ClusterSums(users=0, n=0, x=0, xx=0, xn=0, nn=0))

    for lonely in (alone, nobody):
        sums = CheckSums(cap=1.0, base=known().base, candidate=lonely)
        assert contrast(sums) is None
        assert proof(sums) is None
        assert not is_failed(sums, alpha=0.01, optimum=1.0, is_look=True)


def test_arms_that_neither_vary_nor_differ_say_nothing():
    found = contrast(CheckSums(cap=1.0, base=arm([(1, 0)] * 50), candidate=arm([(1, 0)] * 50)))

    assert found is not None
    assert (found.difference, found.z, found.clock) == (0.0, 0.0, 0.0)


def test_a_candidate_that_always_fails_beside_a_base_that_never_does_is_worse():
    """Within neither arm anything varies; users stand for themselves, as draws of one pooled rate."""
    sums = CheckSums(cap=9.0, base=arm([(9, 0)] * 50), candidate=arm([(9, 9)] * 30))
    found = contrast(sums)

    assert found is not None
    assert found.error == pytest.approx(math.sqrt(0.375 * 0.625 * (1 / 50 + 1 / 30)))
    assert is_failed(sums, alpha=0.01, relative=0.25, absolute=0.002, optimum=found.clock, is_look=False)


def test_a_small_holdback_without_errors_is_no_proof_that_base_has_none():
    """98 % of users: 0.3 % of 30,000 requests fail, and none of the 600 that base serves, as one in six times."""
    many = arm([(10, 1)] * 90 + [(10, 0)] * 2910)
    sums = CheckSums(cap=10.0, base=arm([(10, 0)] * 60), candidate=many)
    found = contrast(sums)

    assert found is not None
    assert found.z < 1.5
    assert not is_failed(sums, alpha=0.004, relative=0.25, absolute=0.002, optimum=found.clock, is_look=True)


def test_a_small_holdback_with_events_enough_shows_its_own_variance():
    base, many = arm([(10, 1)] * 25 + [(10, 0)] * 35), arm([(10, 1)] * 1200 + [(10, 0)] * 1800)
    found = contrast(CheckSums(cap=10.0, base=base, candidate=many))

    assert found is not None
    assert found.error**2 == pytest.approx((base.x.variance or 0) + (many.x.variance or 0))


def test_a_failure_needs_thirty_users_of_each_arm_and_twenty_five_events():
    many, few = [(1, 1)] * 20 + [(1, 0)] * 10, [(1, 1)] * 4 + [(1, 0)] * 96

    assert not may_fail(CheckSums(cap=1.0, base=arm(few), candidate=arm(many[:-1])))
    assert not may_fail(CheckSums(cap=1.0, base=arm(few), candidate=arm(many)))
    assert may_fail(CheckSums(cap=1.0, base=arm([*few, (1, 1)]), candidate=arm(many)))
    assert not may_fail(CheckSums(cap=1.0, base=arm([(1, 1)] * 29), candidate=arm(many)))


def worse_by(events: int) -> CheckSums:
    """Return base at 10 % of 2,000 users' requests, and a candidate of 200 users with so many events."""
    return CheckSums(
        cap=1.0,
        base=arm([(1, 1)] * 200 + [(1, 0)] * 1800),
        candidate=arm([(1, 1)] * events + [(1, 0)] * (200 - events)),
    )


def test_the_first_to_alarm_is_a_look_then_evidence():
    found = contrast(worse_by(38))

    assert found is not None
    assert look_threshold(0.01) < found.z < 3.5
    assert is_worse(found, alpha=0.01, optimum=found.clock, is_look=True)
    assert not is_worse(found, alpha=0.01, optimum=found.clock, is_look=False)
    assert is_worse(found, alpha=0.01, optimum=None, is_look=True)
    assert not is_worse(found, alpha=0.01, optimum=None, is_look=False)


def test_evidence_alarms_between_looks_unless_it_is_not_heard():
    found = contrast(worse_by(50))

    assert found is not None
    assert is_worse(found, alpha=0.01, optimum=found.clock, is_look=False)
    assert not is_worse(found, alpha=0.01, optimum=None, is_look=False)


def test_a_proven_but_tolerated_difference_does_not_fail():
    sums = worse_by(50)

    assert is_failed(sums, alpha=0.01, relative=0.25, optimum=20.0, is_look=False)
    assert not is_failed(sums, alpha=0.01, relative=1.5, optimum=20.0, is_look=False)
    assert not is_failed(sums, alpha=0.01, relative=0.25, optimum=None, is_look=False)


def test_latency_is_beyond_the_margin_by_y_alone():
    sums = worse_by(50)
    slow = ArmSums(requests=200, events=50, x=sums.candidate.x, y=sums.candidate.x)
    within = ArmSums(requests=200, events=50, x=sums.candidate.x, y=capped_sums([(1, 0)] * 200, 1.0))

    assert is_failed(CheckSums(cap=1.0, base=sums.base, candidate=slow), alpha=0.004, optimum=20.0, is_look=False)
    assert not is_failed(CheckSums(cap=1.0, base=sums.base, candidate=within), alpha=0.004, optimum=20.0, is_look=False)


def test_the_target_is_a_share_more_and_a_little_more():
    assert tolerated(0.1, relative=0.25, absolute=0.002) == pytest.approx(0.127)


@settings(deadline=None)
@given(arm_of_users, arm_of_users, st.floats(0, 1), st.floats(0, 0.2), st.floats(1, 50))
def test_nothing_fails_and_passes_at_once(
    base: list[tuple[int, int]], candidate: list[tuple[int, int]], relative: float, absolute: float, cap: float
):
    """With 30 times the users, so that the minima are met where there are events."""
    sums = CheckSums(cap=cap, base=arm(base * 30, cap), candidate=arm(candidate * 30, cap))
    found, shown = contrast(sums), proof(sums, relative=relative, absolute=absolute)
    assert found is not None
    has_failed = is_failed(
        sums, alpha=0.9, relative=relative, absolute=absolute, optimum=found.clock or None, is_look=True
    )

    assert not (has_failed and shown is not None and shown.is_pass)


@settings(deadline=None)
@given(arm_of_users, arm_of_users)
def test_arms_that_change_places_change_the_sign(base: list[tuple[int, int]], candidate: list[tuple[int, int]]):
    """Where both have events enough to show their own variance."""
    one = msgspec.structs.replace(arm(base), events=25)
    other = msgspec.structs.replace(arm(candidate), events=25)
    there = contrast(CheckSums(cap=1e9, base=one, candidate=other))
    back = contrast(CheckSums(cap=1e9, base=other, candidate=one))

    assert there is not None
    assert back is not None
    assert (there.difference, there.error, there.z) == (-back.difference, back.error, -back.z)


@settings(deadline=None)
@given(st.integers(2, 10_000_000), st.integers(2, 10_000_000), st.floats(0, 1), st.floats(0, 1))
def test_ten_million_users_have_figures(users_b: int, users_c: int, rate_b: float, rate_c: float):
    def single(users: int, rate: float) -> ArmSums:
        events = round(users * rate)
        return ArmSums(
            requests=users, events=events, x=ClusterSums(users=users, n=users, x=events, xx=events, xn=events, nn=users)
        )

    sums = CheckSums(cap=1.0, base=single(users_b, rate_b), candidate=single(users_c, rate_c))
    found = contrast(sums)

    assert found is not None
    assert math.isfinite(found.z)
    assert math.isfinite(found.clock)
    multiplier = safe_multiplier(found.clock, 1.0)
    assert multiplier is None or math.isfinite(multiplier)
    shown = proof(sums, relative=0.25, absolute=0.002)
    assert shown is None or math.isfinite(shown.statistic)
