from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.fakes.gate_rows import NOW, WINDOW, gate_row


def test_a_step_without_rows_has_sums_of_nothing(opening):
    found = opening().look(WINDOW)

    assert {check: sums.candidate.requests for check, sums in found.checks.items()} == dict.fromkeys(
        ("errors", "p50", "p99", "ttft", "satisfaction"), 0
    )
    assert (found.fallback_share, found.net_base, found.costed_share_base) == (0.0, None, None)
    assert found.quality.quiet_base_s == pytest.approx((found.as_of - WINDOW.started_at) / 1e6)


def test_how_long_an_arm_is_quiet_and_what_the_other_had_lately(lake, opening):
    began_at = gate_row(0).started_at
    lake.put([gate_row(1), gate_row(2, arm_assigned="candidate"), *(gate_row(number) for number in range(50, 60))])
    evidence = opening(clock=lambda: NOW)
    window = replace(WINDOW, silence_s=(NOW - began_at) / 1e6 - 40)
    found = evidence.look(window).quality

    assert found.quiet_candidate_s - found.quiet_base_s == 57
    assert (found.recent_base_rows, found.recent_candidate_rows) == (10, 0)


def test_shares_and_scores_of_each_arm(lake, opening):
    lake.put(
        [
            gate_row(1, cost_usd=0.5),
            gate_row(2),
            gate_row(3, outcome="client_error"),
            gate_row(4, arm_assigned="candidate", fallback_reason="timeout"),
            gate_row(5, arm_assigned="candidate", cost_usd=0.25),
        ]
    )
    lake.put_feedback(
        [
            {
                "feedback_id": "0199b0c0-0000-7000-8fff-000000000001",
                "received_at": gate_row(5).started_at,
                "application": "shop",
                "request_id": gate_row(5).request_id,
                "rating": 4,
            }
        ]
    )
    found = opening().look(replace(WINDOW, rating="rating"))

    assert (found.costed_share_base, found.costed_share_candidate, found.fallback_share) == (0.5, 0.5, 0.5)
    assert (found.net_base, found.net_candidate) == (0.0, 0.25)
    assert found.cost is not None
    assert (found.cost.base.x.x, found.cost.candidate.x.x) == (0.5, 0.25)
    assert found.checks["satisfaction"].candidate.x.x == 0.25
