from __future__ import annotations

from msgspec.structs import replace

from analytics.evidence import FailingUsers
from tests.fakes.gate_rows import DAY_US, NOW, WINDOW, gate_row


def test_users_who_fail_are_counted_since_the_start_and_in_the_present_hour(lake, opening):
    now_row = gate_row(round((NOW - gate_row(0).started_at) / 1e6))
    lake.put(
        [
            gate_row(1, outcome="upstream_error", arm_assigned="candidate"),
            gate_row(2, outcome="client_error"),
            replace(now_row, outcome="timeout", seq=9, arm_assigned="candidate"),
            replace(now_row, outcome="timeout", seq=10, request_id=gate_row(10).request_id, arm_assigned="candidate"),
        ]
    )
    found = opening(clock=lambda: NOW).failing(replace(WINDOW, hour_s=86_400.0))

    assert found == (
        FailingUsers(kind="failure", candidate=2, hour_candidate=1),
        FailingUsers(kind="client_error", base=1),
    )


def test_what_is_added_up_is_counted_again_when_an_hour_begins(lake, opening):
    moments = [NOW]
    lake.put([replace(gate_row(1, outcome="timeout"), started_at=NOW)])
    evidence, window = opening(clock=lambda: moments[-1]), replace(WINDOW, hour_s=86_400.0)
    before = evidence.failing(window)[0]
    moments.append(NOW + DAY_US)
    after = evidence.failing(window)[0]

    assert (before.base, before.hour_base) == (1, 1)
    assert (after.base, after.hour_base) == (1, 0)
