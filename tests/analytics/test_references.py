from __future__ import annotations

import pytest

from analytics.evidence import Answered
from analytics.references import BaseAnswers, counting, references_of

MANY = BaseAnswers(
    answers=1000, streamed=200, timed=1000, p50_ms=10.0, p99_ms=90.0, first_tokens=1000, ttft_ms=4.0, thumbs=3
)


def changed(**facts: int) -> BaseAnswers:
    return BaseAnswers(**{name: getattr(MANY, name) for name in MANY.__struct_fields__} | facts)


def test_a_thousand_answers_make_a_reference():
    assert references_of(MANY).latencies == {"p50": 10.0, "p99": 90.0, "ttft": 4.0}


@pytest.mark.parametrize(
    ("facts", "latencies"),
    [
        ({"timed": 999}, {"p50": None, "p99": None, "ttft": 4.0}),
        ({"first_tokens": 999}, {"p50": 10.0, "p99": 90.0, "ttft": None}),
        ({"streamed": 199}, {"p50": 10.0, "p99": 90.0}),
        ({"answers": 999, "streamed": 0}, {"p50": 10.0, "p99": 90.0, "ttft": None}),
    ],
    ids=["few were timed", "few first tokens", "few streamed", "few answers"],
)
def test_too_few_make_none_and_what_is_hardly_streamed_does_not_apply(facts, latencies):
    assert references_of(changed(**facts)).latencies == latencies


def test_the_feedback_that_base_had_more_of_counts():
    assert [references_of(changed(ratings=count)).rating for count in (2, 3, 4)] == ["thumb", "thumb", "rating"]


def test_answers_count_towards_what_each_check_waits_for():
    streaming, plain = (
        Answered(answers=400, streamed=80, timed=390, first_tokens=70),
        Answered(answers=400, streamed=79, timed=390, first_tokens=70),
    )

    assert [counting(check, streaming) for check in ("p50", "p99", "ttft")] == [390, 390, 70]
    assert counting("ttft", plain) == 400
    assert counting("ttft", Answered()) == 0
