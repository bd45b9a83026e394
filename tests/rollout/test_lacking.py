"""What is missing: of the row's own minima, of the checks, of base. Whole reports are in `test_explanation.py`."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rollout.gate import CheckReport, GateReport, Watch, judge
from rollout.lacking import lacking, plain, unwatched
from rollout.verdict import Figures
from tests.fakes.evidence import AT, EQUAL, INNER, PROOF, fitting

INNER_ROW = judge(INNER, Watch(), fitting(EQUAL, 5.0), at=AT, running_s=1.0, look=0)[0]
LAST_ROW = judge(PROOF, Watch(), fitting(EQUAL, 10.0), at=AT, running_s=1.0, look=0)[0]
NEEDED: Figures = {"min_users": 100, "min_requests": 500}


@pytest.mark.parametrize(
    ("users", "requests", "words"),
    [
        (99, 500, "1 more user of the candidate"),
        (100, 499, "1 more request of the candidate"),
        (31, 382, "118 more requests and 69 more users of the candidate"),
    ],
)
def test_a_row_without_proof_lacks_what_makes_it_safe(users: int, requests: int, words: str):
    thin = replace(INNER_ROW, safety={**NEEDED, "users_candidate": users, "requests_candidate": requests})

    assert lacking(thin) == [words]


def test_a_row_without_proof_that_has_enough_lacks_only_time_whatever_its_checks_have():
    bare = CheckReport(check="p99", verdict="collecting", words="w", figures={"min_users": 100, "min_requests": 2000})
    enough: Figures = {**NEEDED, "users_candidate": 100, "requests_candidate": 500}

    assert lacking(replace(INNER_ROW, checks=(bare,), safety=enough))[0].startswith("Only time: nothing is worse")


def waiting(given: int | None) -> GateReport:
    check = CheckReport(
        check="p50",
        verdict="collecting",
        words="w",
        figures={"answers_base": given, "min_answers_base": 1000, "min_users": 100, "min_requests": 1000},
    )
    return replace(LAST_ROW, checks=(check,))


def test_a_check_without_a_reference_lacks_answers_of_base_alone():
    assert lacking(waiting(999)) == [
        "the usual answer time: 1 more answer of base, before which nobody knows what is usual",
        "Base's own traffic brings them, not the candidate's",
    ]
    assert "1,000 more answers" in lacking(waiting(None))[0]
    assert lacking(waiting(1200)) == ["Only time: as many requests and users were seen as are asked for"]


def test_a_watch_that_cannot_see_says_so():
    summary = "Everybody is served; the watch cannot see: the lake is away; the last alarm was of p99, at noon"
    blind = replace(LAST_ROW, gate="ga", summary=summary)

    assert lacking(blind) == ["Nothing", "For the moment the watch cannot see: the lake is away"]


def test_names_are_plain_and_unknown_ones_stay():
    assert (plain("errors"), plain("new one")) == ("failed requests", "new one")
    assert unwatched(LAST_ROW) == []
