from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from analytics.evidence import Answered
from analytics.record import Record
from tests.fakes.gate_rows import NOW, WINDOW, gate_row

BARE = replace(WINDOW, thresholds={})
BEFORE = gate_row(2000).started_at


def answers(count: int, **facts: Any) -> list[Record]:
    return [gate_row(number, latency_ms=float(number), **facts) for number in range(count)]


def test_references_are_quantiles_of_base_before_the_step(lake, opening):
    lake.put(answers(1001, step=2, percent=5.0, stream=True, ttft_ms=7.0))
    lake.put(
        [
            *(gate_row(3000 + n, latency_ms=9e9) for n in range(50)),
            *(gate_row(1100 + n, latency_ms=9e9, arm_assigned="candidate") for n in range(50)),
            *(gate_row(1200 + n, latency_ms=9e9, outcome="upstream_error") for n in range(50)),
            *(gate_row(1300 + n, latency_ms=9e9, generation=1) for n in range(50)),
            *(gate_row(1400 + n, latency_ms=9e9, reason="targeting_match") for n in range(50)),
        ]
    )
    found = opening().references("chat", 2, BEFORE)

    assert found.latencies == {"p50": 500.0, "p99": 990.0, "ttft": 7.0}
    assert found.rating == "thumb"


def test_what_is_older_than_seven_days_is_no_reference(lake, opening):
    lake.put(answers(1000))

    assert opening().references("chat", 2, gate_row(0).started_at + 7 * 86_400_000_000).latencies["p50"] == 499.5
    assert opening().references("chat", 2, gate_row(1).started_at + 7 * 86_400_000_000).latencies["p50"] is None


def test_the_kind_of_feedback_that_base_had_more_of_is_counted(lake, opening):
    lake.put(answers(10))
    kinds = [{"rating": 2}, {"rating": 5}, {"thumb": "up"}, {"thumb": "down"}]
    pieces = [
        {
            "feedback_id": f"0199b0c0-0000-7000-8fff-{number:012x}",
            "received_at": gate_row(1).started_at + number,
            "application": "shop",
            **about,
            **kind,
        }
        for number, (about, kind) in enumerate(
            [
                ({"request_id": gate_row(1).request_id}, kinds[2]),
                ({"request_id": gate_row(1).request_id}, kinds[0]),
                ({"response_id": "answer-2"}, kinds[1]),
                ({"request_id": gate_row(3).request_id}, kinds[3]),
                ({"request_id": gate_row(4).request_id, "application": "desk"}, kinds[2]),
                ({"request_id": gate_row(5000).request_id}, kinds[2]),
            ]
        )
    ]
    lake.put_feedback(pieces)

    assert opening().references("chat", 2, BEFORE).rating == "rating"


def test_a_step_takes_its_own_references_from_its_first_thousand_answers_on(lake, opening):
    evidence = opening()
    lake.put(answers(999))
    evidence.fold()
    early = evidence.own_references(BARE)
    lake.put([gate_row(999, latency_ms=999.0), gate_row(5000, arm_assigned="candidate", latency_ms=9e9)])
    evidence.fold()

    assert early == {}
    assert evidence.own_references(BARE) == {"p50": 499.5, "p99": pytest.approx(989.01), "ttft": None}
    assert evidence.own_references(replace(BARE, thresholds={"p50": (1.0, 2.0)})).keys() == {"p99", "ttft"}
    assert evidence.own_references(WINDOW) == {}


def test_a_step_that_streams_waits_for_a_thousand_first_tokens(lake, opening):
    evidence = opening(clock=lambda: NOW)
    lake.put(answers(2000, stream=True))
    lake.put([gate_row(number, stream=True, ttft_ms=3.0) for number in range(5000, 5900)])
    evidence.fold()

    assert evidence.own_references(BARE).keys() == {"p50", "p99"}
    assert evidence.look(BARE).base_answered == Answered(answers=2900, streamed=2900, timed=2900, first_tokens=900)
