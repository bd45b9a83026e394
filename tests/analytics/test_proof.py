"""Known answers of `statistics.md` for PASS, and what no look may ever prove."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.evidence import ArmSums, CheckSums, capped_sums
from analytics.figures import ClusterSums
from analytics.proof import PASS_Z, inflation, proof, variance_at_margin


def sums_of(users: list[tuple[int, int]]) -> ClusterSums:
    return capped_sums(users, 1e9)


CANDIDATE = sums_of([(2, 0), (4, 1), (4, 2)])
BASE = sums_of([(4, 0), (6, 1), (6, 0), (4, 1)])


def arm(sums: ClusterSums, events: int, y: ClusterSums | None = None) -> ArmSums:
    return ArmSums(requests=int(sums.n), events=events, x=sums, y=y)


def alike(users: int, events: int) -> ClusterSums:
    """Return so many users of one request each."""
    return ClusterSums(users=users, n=users, x=events, xx=events, xn=events, nn=users)


def flawless(requests: int) -> CheckSums:
    return CheckSums(cap=1.0, base=arm(alike(10 * requests, 0), 0), candidate=arm(alike(requests, 0), 0))


def test_the_known_answer_with_few_events():
    found = proof(CheckSums(cap=6.0, base=arm(BASE, 2), candidate=arm(CANDIDATE, 3)), relative=0.25, absolute=0.002)

    assert found is not None
    assert found.target == pytest.approx(0.127)
    assert found.statistic == pytest.approx(-0.879659, abs=1e-6)
    assert found.error**2 - 1.25**2 * 0.00346667 == pytest.approx(0.0332613, abs=1e-7)


def test_the_known_answer_without_the_floor():
    found = proof(CheckSums(cap=6.0, base=arm(BASE, 25), candidate=arm(CANDIDATE, 3)), relative=0.25, absolute=0.002)

    assert found is not None
    assert found.statistic == pytest.approx(-1.193340, abs=1e-6)
    assert inflation(0.1, 0.127) == pytest.approx(1.2319**1.5)
    assert variance_at_margin(BASE, CANDIDATE, growth=inflation(0.1, 0.127)) == pytest.approx(0.01421990, abs=1e-8)


def test_without_any_error_so_many_requests_pass():
    found = [proof(flawless(requests), relative=0.25, absolute=0.002) for requests in (5750, 5751)]

    assert [each is not None and each.is_pass for each in found] == [False, True]


def test_a_pass_keeps_the_bound_to_the_target():
    for requests in (5750, 5751):
        found = proof(flawless(requests), relative=0.25, absolute=0.002)

        assert found is not None
        assert (found.at_most <= found.target) == found.is_pass


def test_a_lucky_candidate_is_given_the_variance_of_base():
    base = arm(alike(9000, 180), 180)
    lucky = arm(alike(1000, 0), 0)
    found = proof(CheckSums(cap=1.0, base=base, candidate=lucky), relative=0.25, absolute=0.002)

    assert found is not None
    assert found.error == found.expected_error
    assert found.error**2 > 0.027 * (1 - 0.027) / 1000


def test_an_unsteady_candidate_is_given_its_own():
    base = arm(alike(9000, 180), 180)
    unsteady = arm(sums_of([(1, 0)] * 900 + [(10, 9)] * 10), 90)
    found = proof(CheckSums(cap=1.0, base=base, candidate=unsteady), relative=0.25, absolute=0.002)

    assert found is not None
    assert found.error > found.expected_error


def test_latency_compares_y_at_its_own_variance():
    base = arm(alike(9000, 90), 90)
    faster, slower = alike(1000, 0), alike(1000, 12)
    passing = proof(CheckSums(cap=1.0, base=base, candidate=arm(slower, 12, faster)))
    missing = proof(CheckSums(cap=1.0, base=base, candidate=arm(slower, 12, slower)))

    assert passing is not None
    assert missing is not None
    assert (passing.target, passing.candidate) == (pytest.approx(0.01), 0.0)
    assert passing.is_pass
    assert not missing.is_pass


def test_a_target_of_nearly_all_requests_proves_nothing():
    base = arm(alike(9000, 8100), 8100)

    assert proof(CheckSums(cap=1.0, base=base, candidate=arm(alike(1000, 0), 0)), relative=0.25) is None


def test_identical_users_do_not_prove_by_lack_of_variance():
    steady = sums_of([(2, 1)] * 100)
    found = proof(CheckSums(cap=2.0, base=arm(steady, 100), candidate=arm(steady, 100)), absolute=0.03)

    assert found is not None
    assert 0 < found.statistic < PASS_Z


def test_without_margin_and_events_nothing_is_proven():
    found = proof(flawless(10_000_000))

    assert found is not None
    assert found.statistic == 0.0


def test_base_has_no_variance_to_lend_to_nobody():
    nobody = ClusterSums(users=0, n=0, x=0, xx=0, xn=0, nn=0)

    assert variance_at_margin(BASE, nobody, growth=1.0) is None
    assert variance_at_margin(sums_of([(3, 1)]), CANDIDATE, growth=1.0) is None
    assert variance_at_margin(alike(50, 0), CANDIDATE, growth=math.inf) == 0.0


@pytest.mark.parametrize(("base", "target"), [(0.0, 0.002), (1.0, 1.0), (1e-300, 0.5), (0.4, 0.3)])
def test_variance_never_shrinks_towards_the_margin(base: float, target: float):
    assert inflation(base, target) >= 1.0


@settings(deadline=None)
@given(
    st.integers(2, 10_000_000), st.integers(2, 10_000_000), st.floats(0, 1), st.floats(0, 1),
    st.floats(0, 0.5), st.floats(1e-4, 0.2),
)  # fmt: skip
def test_a_candidate_at_the_margin_or_beyond_never_passes(
    users_b: int, users_c: int, rate_b: float, rate_c: float, relative: float, absolute: float
):
    base, candidate = alike(users_b, round(users_b * rate_b)), alike(users_c, round(users_c * rate_c))
    sums = CheckSums(cap=1.0, base=arm(base, int(base.x)), candidate=arm(candidate, int(candidate.x)))
    found = proof(sums, relative=relative, absolute=absolute)

    if found is not None and found.candidate >= found.target:
        assert found.statistic <= 0


@settings(deadline=None)
@given(st.integers(100, 100_000), st.integers(0, 50), st.floats(0.0, 0.2), st.floats(0.0, 0.2))
def test_a_wider_margin_never_proves_less_of_a_good_candidate(users: int, events: int, absolute: float, more: float):
    """Good: no worse than base. Then R* grows faster than the variance that is assumed at it."""
    base, candidate = alike(10 * users, 10 * events), alike(users, events)
    sums = CheckSums(cap=1.0, base=arm(base, 10 * events), candidate=arm(candidate, events))
    narrow, wide = proof(sums, absolute=absolute), proof(sums, absolute=absolute + more)

    if narrow is not None and wide is not None and narrow.is_pass:
        assert wide.is_pass
