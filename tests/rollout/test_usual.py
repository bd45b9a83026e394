"""Latency checks that wait for base's answers say so, with base's count."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from analytics.evidence import Answered, Check
from rollout.durations import DAY_S
from rollout.gate import GateReport, Look, Watch, judge
from tests.fakes.evidence import AT, EQUAL, PROOF, fitting

BARE = replace(PROOF, references=dict.fromkeys(("p50", "p99", "ttft")))


def judged(answered: Answered | None, *, look: Look = 0, running_s: float = DAY_S) -> GateReport:
    seen = replace(EQUAL, checks={"errors": EQUAL.checks["errors"]}, base_answered=answered)
    return judge(BARE, Watch(), fitting(seen, 10.0), at=AT, running_s=running_s, look=look)[0]


def words(check: Check, answered: Answered | None, **given: Any) -> str:
    return next(one.words for one in judged(answered, **given).checks if one.check == check)


FEW = Answered(answers=400, streamed=400, timed=384, first_tokens=120)


def test_what_is_usual_is_known_once_base_has_given_a_thousand_answers():
    assert words("p50", FEW) == (
        "p50: collecting. The usual answer time is known once base has given 1,000 answers; 384 so far"
    )
    assert words("p99", FEW).startswith("p99: collecting. The time of base's slowest answers is known once")
    assert words("p50", None) == "p50: collecting. The usual answer time is known once base has given 1,000 answers"


def test_the_first_token_waits_for_streamed_answers_where_base_streams():
    assert words("ttft", FEW) == (
        "ttft: collecting. The usual time to the first token is known once base has given 1,000 streamed answers; "
        "120 so far"
    )
    assert words("ttft", Answered(answers=400, timed=400)) == (
        "ttft: collecting. Whether base streams enough to ask for it is known once base has given 1,000 answers; "
        "400 so far"
    )


def test_after_the_last_look_base_gave_too_few_answers():
    last: dict[str, Any] = {"look": 2, "running_s": 10 * DAY_S}

    assert words("p50", FEW, **last) == (
        "p50: inconclusive after 10 d. Base gave too few answers: 384 of the 1,000 that it takes to know the usual "
        "answer time"
    )
    assert words("p50", None, **last).endswith("Base gave too few answers to know the usual answer time")
    assert judged(FEW, **last).summary == (
        "Inconclusive after 10 d: base gave too few answers, so p50, p99 and ttft are not proven. A person decides"
    )


def test_the_figures_are_bases():
    figures = judged(FEW).checks[1].figures

    assert (figures["answers_base"], figures["min_answers_base"]) == (384, 1000)
    assert judged(None).checks[1].figures["answers_base"] is None
