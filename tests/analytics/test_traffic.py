from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from analytics.narrowing import Narrowing
from analytics.traffic import Span, traffic_report

BEGAN = datetime(1970, 1, 1, tzinfo=None)  # noqa: DTZ001 - as the lake has it: UTC, without a zone
HOUR_US = 3_600_000_000


def hour(number: int, base: int | None, candidate: int | None) -> dict[str, Any]:
    at = BEGAN + timedelta(hours=number)
    return {"kind": "hour", "hour": at, "base_requests": base, "candidate_requests": candidate}


def test_hours_add_up_to_days():
    found = traffic_report([hour(1, 5, None), hour(23, 1, 2), hour(24, None, 4)], asked=Narrowing(), as_of=7)

    assert found.days == [
        Span(at=0, base_requests=6, candidate_requests=2),
        Span(at=24 * HOUR_US, base_requests=0, candidate_requests=4),
    ]
    assert [one.at for one in found.hours] == [HOUR_US, 23 * HOUR_US, 24 * HOUR_US]


def test_bins_that_nobody_is_in_count_as_empty():
    bins = [{"kind": "bin", "bin": place, "requests": 12} for place in range(50)]
    found = traffic_report(bins, asked=Narrowing(), as_of=7).buckets

    assert (found.users, found.bins, found.fewest, found.most, found.is_alarming) == (600, 100, 0, 12, True)


def test_a_step_is_judged_by_its_percentage():
    names = ("base_requests", "candidate_requests", "base_users", "candidate_users", "crossed_users", "mixed_requests")
    row: dict[str, Any] = {
        "kind": "step",
        "step": 4,
        "percent": 5,
        "first_at": BEGAN,
        "last_at": BEGAN,
        "base_users": 380,
    }
    known = {**dict.fromkeys(names), **row, "candidate_users": 20}
    found = traffic_report([known, {**known, "step": 5, "percent": None}], asked=Narrowing(), as_of=7)

    [first, second] = found.steps
    assert first.sample_ratio is not None
    assert (first.percent, first.sample_ratio.share, first.base_requests, first.first_at) == (5.0, 0.05, 0, 0)
    assert (second.percent, second.sample_ratio) == (None, None)
