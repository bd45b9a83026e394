from __future__ import annotations

import math

import pytest

from analytics.evidence import ArmSums, CheckSums
from analytics.figures import ClusterSums
from benchmarks.gates.comparators import (
    asymptotic_sequence,
    clustered,
    likelihood_ratio,
    meets_minima,
    naive,
    request_z,
)


def arm(users: int, requests: int, events: int) -> ArmSums:
    sums = ClusterSums(
        users=users, n=requests, x=events, xx=float(events), xn=events * requests / users, nn=requests**2 / users
    )
    return ArmSums(requests=requests, events=events, x=sums)


def both(base_events: int, candidate_events: int) -> CheckSums:
    return CheckSums(cap=100.0, base=arm(900, 9000, base_events), candidate=arm(100, 1000, candidate_events))


def test_two_proportions_are_compared_in_standard_errors():
    sums = both(180, 40)

    assert request_z(sums.base, sums.candidate) == pytest.approx(
        (0.04 - 0.02) / math.sqrt(0.04 * 0.96 / 1000 + 0.02 * 0.98 / 9000)
    )
    assert request_z(arm(1, 0, 0), sums.candidate) == 0.0
    assert request_z(arm(1, 10, 0), arm(1, 10, 0)) == 0.0


def test_each_rule_calls_a_great_difference_and_no_equality():
    equal, worse = both(180, 20), both(180, 90)

    for rule in (naive, lambda sums: likelihood_ratio(sums, 0.05)):
        assert rule(worse)
        assert not rule(equal)
    for rule in (clustered, lambda base, candidate: asymptotic_sequence(base, candidate, 0.05)):
        assert rule(worse.base.x, worse.candidate.x)
        assert not rule(equal.base.x, equal.candidate.x)


def test_rules_without_users_call_nothing():
    empty = ClusterSums(users=0, n=0.0, x=0.0, xx=0.0, xn=0.0, nn=0.0)

    assert not clustered(empty, empty)
    assert not asymptotic_sequence(empty, empty, 0.05)


def test_the_likelihood_ratio_has_the_boundary_of_its_formula():
    sums = both(180, 40)
    z = request_z(sums.base, sums.candidate)
    alpha = (1 + math.log(10_000)) / math.exp(z * z / 2)

    assert likelihood_ratio(sums, alpha * 1.001)
    assert not likelihood_ratio(sums, alpha * 0.999)


@pytest.mark.parametrize(("users", "events", "enough"), [(30, 25, True), (29, 25, False), (30, 24, False)])
def test_every_rule_waits_for_the_minima(users: int, events: int, enough: bool):  # noqa: FBT001 - the expectation
    sums = CheckSums(cap=1.0, base=arm(100, 1000, 0), candidate=arm(users, 1000, events))

    assert meets_minima(sums) is enough
