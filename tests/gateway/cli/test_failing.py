from __future__ import annotations

import pytest

from analytics.failures import FailureGroup, FailureReport
from analytics.narrowing import Narrowing
from gateway.cli.failing import write_failures


def group(failures: int, **facts: object) -> FailureGroup:
    known = {
        "arm": "candidate",
        "model": "tuned",
        "upstream": "east",
        "outcome": "timeout",
        "error_class": "idle_timeout",
        "status": None,
        "endpoint": "embeddings",
        "rescued_by": None,
        "requests": failures,
        "share": failures / 1000,
        "users": 2,
        "first_at": 0,
        "last_at": 60_000_000,
        "examples": [f"id-{failures}"],
    }
    return FailureGroup(**{**known, "failures": failures, **facts})


def report(*groups: FailureGroup, count: int | None = None, **facts: object) -> FailureReport:
    known = {"first_at": 0, "last_at": 1, "requests": 1000, "failed": 12, "client_errors": 3, "refused": 4}
    known |= {"rescued_by_fallback": 5, "rescued_by_another_try": 6, "left_out_forced": 0, "left_out_not_live": 0}
    number = len(groups) if count is None else count
    return FailureReport(
        **{**known, "asked": Narrowing(), "as_of": 7, "group_count": number, "groups": groups, **facts}
    )


def test_groups_stand_with_what_failed_where_and_examples(capsys: pytest.CaptureFixture[str]):
    rescued = group(5, outcome="ok", rescued_by="fallback", error_class="http_503", status=503, model="x\x1b[1m")
    refused = group(4, arm=None, model=None, outcome="rejected", error_class="invalid_json", status=400)
    write_failures(report(rescued, refused, group(3, outcome="interrupted", error_class=None)), most=20)
    said = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in said.splitlines()]

    assert lines[0].startswith("All traffic: 1,000 requests, ")
    assert lines[1] == "12 failed (1.2 %); the models' servers refused 3, the gateway 4"
    assert lines[2] == "5 more failed at first and were answered by the base, 6 by another try: no caller saw it"
    times = "1970-01-01 00:00:00Z 1970-01-01 00:01:00Z"
    assert f"5 2 0.5 % candidate x\\x1b[1m east embeddings http_503 ok by fallback {times}" in lines
    assert f"4 2 0.4 % - - east embeddings invalid_json 400 rejected {times}" in lines
    assert f"3 2 0.3 % candidate tuned east embeddings interrupted interrupted {times}" in lines
    assert "candidate, x\\x1b[1m, http_503: id-5" in lines
    assert "invalid_json 400: id-4" in lines
    assert "\x1b" not in said


@pytest.mark.parametrize(
    ("count", "most", "words"),
    [
        (3, 2, "1 more groups; --all shows them"),
        (1500, 2, "1,498 more groups; --all shows 3"),
        (1500, 3, "1,497 more groups; the report lists 3"),
        (3, 3, None),
    ],
)
def test_groups_that_are_not_shown_are_counted(
    capsys: pytest.CaptureFixture[str], count: int, most: int, words: str | None
):
    write_failures(report(group(3), group(2), group(1), count=count), most=most)
    said = capsys.readouterr().out

    assert (words or "What is counted") in said
    assert ("more groups" in said) == (words is not None)


def test_nothing_failed_and_nothing_was_asked(capsys: pytest.CaptureFixture[str]):
    write_failures(report(requests=0, first_at=None, left_out_forced=2, left_out_not_live=3), most=20)

    assert capsys.readouterr().out.splitlines()[:3] == [
        "All traffic: no request yet",
        "left out: 2 requests of pinned users (--forced takes them in)",
        "left out: 3 requests made for other purposes",
    ]
