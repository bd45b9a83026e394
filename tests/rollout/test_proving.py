"""How near a look is to proof."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from analytics.evidence import CheckSums
from analytics.proof import Proof, proof
from rollout.checks import Reading, Tick, read
from rollout.durations import DAY_S
from rollout.proving import POWER_Z, enough, lost_score
from rollout.verdict import Watch
from tests.fakes.evidence import PROOF, evidence, slow, sums

TICK = Tick(running_s=DAY_S, look=1, looks=1, dwell_s=DAY_S)


def both(errors: CheckSums) -> tuple[Reading, Proof]:
    found = read("errors", PROOF, Watch(), evidence(errors=errors), TICK)
    assert found is not None
    assert found.proof is not None
    return found, found.proof


def test_with_as_many_requests_as_are_named_an_equal_candidate_is_far_enough_from_the_margin():
    reading, found = both(sums(100, 20, 0.4, every=10))
    needed = enough(reading, found)

    assert needed is not None
    shrunk = found.expected_error * (reading.sums.candidate.requests / needed) ** 0.5
    assert POWER_Z * shrunk == pytest.approx(found.target - found.base, rel=0.01)


def test_of_latency_the_room_lies_between_base_and_what_is_slower_by_the_margin():
    late = slow(100, 20, 0.01, beyond=0.008, every=10)
    found = read("p99", PROOF, Watch(), evidence(p99=late), TICK)

    assert found is not None
    assert found.proof is not None
    assert (enough(found, found.proof) or 0) > 2000
    slower_still = slow(100, 20, 0.01, beyond=0.01, every=10)
    without_room = read("p99", PROOF, Watch(), evidence(p99=slower_still), TICK)
    assert without_room is not None
    assert without_room.proof is not None
    assert enough(without_room, without_room.proof) is None


def test_where_more_requests_are_no_remedy_none_are_named():
    reading, found = both(sums(1000, 20, 0.4))

    assert enough(reading, found) is None
    assert enough(reading, replace(found, target=found.base)) is None
    assert enough(reading, replace(found, target=found.base + 1e-12)) is None


def test_satisfaction_that_is_lost_has_a_worst_case():
    found = proof(sums(400, 4, 0.9, base_events=0.8), absolute=0.03)

    assert found is not None
    assert lost_score(found) == "\u22120.02, at worst \u22120.04, margin \u22120.03"
