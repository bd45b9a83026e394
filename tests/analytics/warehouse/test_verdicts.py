from __future__ import annotations

from typing import Any

import pytest

from analytics.evidence import StepEvidence
from tests.fakes.gate_rows import WINDOW, gate_row

HOUR_US = 3_600_000_000


def piece(number: int, about: int, after_us: int = 1_000_000, **facts: Any) -> dict[str, Any]:
    one = gate_row(about)
    known = {
        "feedback_id": f"0199b0c0-0000-7000-8fff-{number:012x}",
        "received_at": one.started_at + after_us,
        "application": "shop",
        "request_id": one.request_id,
        "thumb": "up",
    }
    return known | facts


def counts(found: StepEvidence) -> tuple[int, float]:
    """Return how many verdicts count, and their badness."""
    base = found.checks["satisfaction"].base
    return base.requests, base.x.x


def test_the_newest_verdict_counts_whenever_each_of_them_comes(lake, opening):
    evidence = opening()
    evidence.look(WINDOW)
    lake.put([gate_row(1)])
    seen: list[tuple[int, float]] = []
    for number, after_us, thumb in ((1, 5_000_000, "down"), (2, 1_000_000, "up"), (3, 9_000_000, "up")):
        lake.put_feedback([piece(number, 1, after_us, thumb=thumb)])
        evidence.fold()
        seen.append(counts(evidence.look(WINDOW)))

    assert seen == [(1, 1.0), (1, 1.0), (1, 0.0)]


@pytest.mark.parametrize(
    "facts",
    [
        {"application": "desk"},
        {"received_at": gate_row(1).started_at + 48 * HOUR_US + 1},
        {"thumb": None, "signal": "copied"},
        {"request_id": None, "response_id": "answer-9"},
    ],
    ids=["another application's", "too late", "a signal", "of two requests"],
)
def test_what_does_not_count_in_reports_does_not_count_here(lake, opening, facts):
    evidence = opening()
    evidence.look(WINDOW)
    lake.put([gate_row(1), gate_row(9), gate_row(10, response_id="answer-9")])
    lake.put_feedback([piece(1, 1, **facts)])
    evidence.fold()

    assert counts(evidence.look(WINDOW)) == (0, 0.0)


def test_a_verdict_that_comes_before_its_request_waits_for_it(lake, opening):
    evidence = opening()
    evidence.look(WINDOW)
    lake.put([gate_row(9)])
    lake.put_feedback([piece(1, 1), piece(2, 2, request_id=None, response_id="answer-2")])
    evidence.fold()
    lake.put([gate_row(1), gate_row(2)])
    evidence.fold()

    assert counts(evidence.look(WINDOW)) == (2, 0.0)


@pytest.mark.parametrize("is_compacted", [False, True])
def test_a_late_verdict_finds_its_request_in_the_lake(lake, opening, is_compacted):
    evidence = opening()
    evidence.look(WINDOW)
    lake.put([gate_row(1), gate_row(2), gate_row(3)])
    lake.put([gate_row(20_000)])
    if is_compacted:
        lake.compact()
    evidence.fold()
    lake.put_feedback([piece(1, 1, 40 * HOUR_US), piece(2, 2, request_id=None, response_id="answer-2")])
    lake.put_feedback([piece(3, 3, thumb="down", request_id="0199b0c0-0000-7000-8000-00000000ffff")])
    evidence.fold()

    assert counts(evidence.look(WINDOW)) == (2, 0.0)


@pytest.mark.slow
def test_a_verdict_that_found_no_request_for_a_week_is_forgotten(lake, opening):
    evidence = opening()
    evidence.look(WINDOW)
    lake.put_feedback([piece(1, 1)])
    evidence.fold()
    for _ in range(7 * 24 * 30):
        evidence.fold()
    lake.put_feedback([piece(2, 2)])
    evidence.fold()
    lake.put([gate_row(1), gate_row(2)])
    evidence.fold()

    assert counts(evidence.look(WINDOW)) == (1, 0.0)
