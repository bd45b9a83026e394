from __future__ import annotations

import pytest

from analytics.narrowing import Narrowing
from analytics.srm import evenness, sample_ratio
from analytics.traffic import Counted, PartTraffic, Span, StepTraffic, TrafficReport
from gateway.cli.splitting import write_traffic

HOUR_US = 3_600_000_000


def step(number: int | None, base: int, candidates: int, percent: float | None = 5.0, **facts: int) -> StepTraffic:
    known = {"base_requests": base * 3, "candidate_requests": candidates, "crossed_users": 0, "mixed_requests": 0}
    return StepTraffic(
        step=number,
        percent=percent,
        first_at=0,
        last_at=1,
        base_users=base,
        candidate_users=candidates,
        sample_ratio=None if percent is None else sample_ratio(base, candidates, percent),
        **{**known, **facts},
    )


def report(*steps: StepTraffic, **facts: object) -> TrafficReport:
    known = {
        "asked": Narrowing(rollout="sales", generation=1),
        "as_of": 7,
        "first_at": 0 if steps else None,
        "last_at": 1 if steps else None,
        "base_requests": 30,
        "candidate_requests": 10,
        "buckets": evenness([10] * 100),
        "days": [Span(at=0, base_requests=30, candidate_requests=10)],
        "hours": [Span(at=5 * HOUR_US, base_requests=30, candidate_requests=10)],
        "sources": [Counted(name="user", requests=30), Counted(name=None, requests=10)],
        "reasons": [Counted(name="split", requests=39), Counted(name="later\x1b", requests=1)],
        "left_out": [],
        "by": None,
        "parts": [],
    }
    return TrafficReport(**{**known, "steps": steps, **facts})


def said(capsys: pytest.CaptureFixture[str], found: TrafficReport) -> list[str]:
    write_traffic(found)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_split_that_fits_is_said_to_fit(capsys: pytest.CaptureFixture[str]):
    lines = said(capsys, report(step(1, 100, 0, 0.0), step(2, 9_500, 500)))

    assert lines[0].startswith("Rollout sales, generation 1: 40 requests, ")
    assert "1 0 % 100 0.0 % none 300 0.0 %" in lines
    assert "2 5 % 10,000 5.0 % 1 to 3 29,000 1.7 %" in lines
    assert "the arms have their shares of users: nothing speaks against the split" in lines
    assert "1970-01-01 05:00 30 10 25.0 %" in lines
    assert "user keys: user 30 (75.0 %), (none) 10 (25.0 %)" in lines
    assert "arms: by bucket 39 (97.5 %), later\\x1b 1 (2.5 %)" in lines


def test_a_wrong_split_is_told_with_its_odds(capsys: pytest.CaptureFixture[str]):
    crossed = {"crossed_users": 1, "mixed_requests": 2}
    lines = said(
        capsys,
        report(step(2, 9_380, 620), step(3, 4_000, 6_000, **crossed), step(4, 3, 1, 0.0), step(None, 1, 1, None)),
    )

    assert "2 5 % 10,000 6.2 % 112,316 to 1 28,760 2.2 %" in lines
    assert (
        "step 2: 620 of 10,000 users are candidates, 500 expected: odds 112,316 to 1 against the split. "
        "Conclude nothing from this step" in lines
    )
    assert [
        line
        for line in lines
        if line.startswith("step 3: 6,000 of 10,000 users are candidates, 500 expected: odds 10^")
    ]
    assert "step 3: 1 user was assigned both arms, which the split alone never does" in lines
    assert "step 3: 2 requests were decided by another percentage, and place no user" in lines
    assert "step 4: 1 of 4 users are candidates, 0 expected. Conclude nothing from this step" in lines
    assert "- - 2 50.0 % - 4 25.0 %" in lines


def test_many_crossed_users_are_counted(capsys: pytest.CaptureFixture[str]):
    lines = said(capsys, report(step(3, 95, 5, crossed_users=2, mixed_requests=1)))

    assert "step 3: 2 users were assigned both arms, which the split alone never does" in lines
    assert "step 3: 1 request was decided by another percentage, and place no user" in lines


def test_buckets_are_judged_where_there_are_users_enough(capsys: pytest.CaptureFixture[str]):
    one = step(1, 95, 5)
    few = said(capsys, report(one, buckets=evenness([4] * 100)))
    uneven = said(capsys, report(one, buckets=evenness([5] * 99 + [50])))
    even = said(capsys, report(one, buckets=evenness([9, 11] * 50)))

    assert "buckets: 400 users; 500 are needed to tell whether they lie evenly" in few
    assert [
        line for line in uneven if line.startswith("buckets: UNEVEN: 5 to 50 of 545 users in each hundredth, 5 due;")
    ]
    assert (
        "buckets: 9 to 11 of 1,000 users in each hundredth, 10 due; chance alone is as uneven in 100 of 100 cases "
        "(chi-square 10.0, 99 degrees of freedom)" in even
    )


def test_a_long_time_is_shown_by_day(capsys: pytest.CaptureFixture[str]):
    days = [Span(at=number * 24 * HOUR_US, base_requests=1, candidate_requests=0) for number in range(3)]
    lines = said(capsys, report(step(1, 95, 5), days=days))

    assert "1970-01-03 1 0 0.0 %" in lines
    assert not [line for line in lines if line.startswith("1970-01-01 05:00")]


def test_without_requests_there_is_no_table(capsys: pytest.CaptureFixture[str]):
    other = report(sources=[], reasons=[], left_out=[Counted(name="eval", requests=4)])

    assert said(capsys, other) == [
        "Rollout sales, generation 1: no request yet",
        "",
        "other purposes: eval 4 (100.0 %)",
        "How fresh this is, nobody can tell: no host has told how far it has come.",
        "How the split is judged: docs/reports.md",
    ]


def test_a_divided_report_has_users_and_requests_of_each_part(capsys: pytest.CaptureFixture[str]):
    part = PartTraffic(name="web", base_requests=6, candidate_requests=2, base_users=3, candidate_users=1)
    lines = said(capsys, report(step(1, 95, 5), by="application", parts=[part]))

    assert "application users candidates requests of the candidate" in lines
    assert "web 4 25.0 % 8 25.0 %" in lines
