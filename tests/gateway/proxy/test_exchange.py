"""Known timelines, and the exact records that they settle into. Moments are seconds; the request starts at 100.0."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from analytics.pricing import Price
from analytics.record import Attempt, Opened, Record
from gateway.proxy import reply
from gateway.proxy.attempts import Failure
from gateway.proxy.exchange import Called, Exchange, outcome_of

FACTS: dict[str, Any] = {"request_id": "r-1", "seq": 3, "started_at": 1_800_000_000_000_000, "endpoint": "chat"}
PRICE = Price(input=1.0, output=4.0, cached_input=0.5)
CANDIDATE = Called(arm="candidate", model="tuned", upstream="openai", price=PRICE, price_version="v1")


def begun(*, called: Called | None = CANDIDATE, dispatched_at: float = 100.25) -> Exchange:
    exchange = Exchange(dict(FACTS), 100.0)
    exchange.learn(application="shop", arm_assigned="candidate", tags={"team": "a"})
    if called is not None:
        exchange.dispatched(called, dispatched_at)
    return exchange


def answer(**fields: Any) -> reply.Reply:
    read = reply.read(msgspec.json.encode(fields))
    assert read is not None
    return read


def said(content: str | None, finish_reason: str | None = None) -> reply.Reply:
    return answer(id="c-1", choices=[{"delta": {"content": content}, "finish_reason": finish_reason}])


USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 500,
    "prompt_tokens_details": {"cached_tokens": 200},
    "completion_tokens_details": {"reasoning_tokens": 100},
}


def test_what_is_known_before_the_request_is_sent_opens_it():
    assert begun(called=None).opened(deadline_at=1_800_000_600_000_000) == Opened(
        **FACTS,
        application="shop",
        arm_assigned="candidate",
        tags={"team": "a"},
        deadline_at=1_800_000_600_000_000,
    )


def test_a_whole_answer():
    exchange = begun()
    exchange.answered(200)
    exchange.received(101.25)
    exchange.saw_answer(answer(id="c-9", choices=[{"finish_reason": "stop"}], usage=USAGE))

    assert exchange.settle("ok", 101.5, status=200) == Record(
        **FACTS,
        application="shop",
        arm_assigned="candidate",
        tags={"team": "a"},
        outcome="ok",
        status=200,
        response_id="c-9",
        arm_served="candidate",
        model_served="tuned",
        upstream="openai",
        attempts=[
            Attempt(
                arm="candidate",
                model="tuned",
                upstream="openai",
                status=200,
                error_class=None,
                upstream_ms=1000.0,
                cost_usd=0.0029,
            )
        ],
        latency_ms=1500.0,
        upstream_ms=1000.0,
        overhead_ms=500.0,
        input_tokens=1000,
        cached_tokens=200,
        input_audio_tokens=0,
        output_tokens=500,
        reasoning_tokens=100,
        output_audio_tokens=0,
        usage_source="reported",
        cost_usd=0.0029,
        price_version="v1",
        finish_reason="stop",
    )


def test_a_stream_is_timed_by_the_chunks_that_carry_output():
    exchange = begun()
    exchange.answered(200)
    exchange.saw_chunk(said(None), 100.5)
    exchange.saw_chunk(said("He"), 101.0)
    exchange.saw_chunk(said("llo"), 102.5)
    exchange.saw_chunk(said("", "length"), 103.0)
    exchange.saw_chunk(answer(choices=[], usage=USAGE), 103.25)
    exchange.received(103.5)

    record = exchange.settle("ok", 104.0, status=200)

    assert (record.ttft_ms, record.output_ms) == (1000.0, 1500.0)
    assert (record.latency_ms, record.upstream_ms, record.overhead_ms) == (4000.0, 3250.0, 750.0)
    assert (record.response_id, record.finish_reason, record.output_tokens) == ("c-1", "length", 500)
    assert exchange.has_finished


def test_a_stream_that_breaks_off_counts_its_output_as_an_estimate():
    exchange = begun()
    exchange.answered(200)
    exchange.saw_chunk(said("a"), 101.0)
    exchange.saw_chunk(said("b"), 101.5)

    record = exchange.settle("upstream_error", 102.25, status=200, error_class="connection_lost")

    assert (record.input_tokens, record.output_tokens, record.usage_source) == (None, 2, "estimated")
    assert (record.cost_usd, record.cost_unknown, record.price_version) == (None, "no_usage", "v1")
    assert (record.upstream_ms, record.error_class) == (2000.0, "connection_lost")
    assert record.attempts[0].error_class == "connection_lost"
    assert not exchange.has_finished


def test_a_request_that_was_never_sent_has_no_upstream_in_its_record():
    record = begun(called=None).settle("rejected", 100.5, status=401, error_class="invalid_api_key")

    assert record == Record(
        **FACTS,
        application="shop",
        arm_assigned="candidate",
        tags={"team": "a"},
        outcome="rejected",
        status=401,
        error_class="invalid_api_key",
        latency_ms=500.0,
        overhead_ms=500.0,
        usage_source="missing",
        cost_unknown="no_usage",
    )


def test_a_request_without_an_answer_is_an_attempt_without_a_status():
    record = begun().settle("timeout", 130.25, status=504, error_class="first_byte_timeout")

    assert (record.status, record.attempts[0].status) == (504, None)
    assert (record.upstream_ms, record.overhead_ms) == (30_000.0, 250.0)
    assert (record.output_tokens, record.usage_source) == (None, "missing")


def test_a_model_without_a_price_costs_an_unknown_sum():
    exchange = begun(called=msgspec.structs.replace(CANDIDATE, price=None))
    exchange.saw_answer(answer(usage=USAGE))

    record = exchange.settle("ok", 101.0, status=200)

    assert (record.cost_usd, record.cost_unknown, record.price_version) == (None, "no_price", "v1")
    assert record.attempts[0].cost_usd is None


def test_a_whole_answer_that_could_not_be_read_teaches_nothing():
    exchange = begun()
    exchange.saw_answer(None)

    record = exchange.settle("malformed", 101.0, status=200, error_class="not_json")

    assert (record.response_id, record.finish_reason, record.usage_source) == (None, None, "missing")


def test_the_first_id_and_the_last_of_all_else_count():
    exchange = begun()
    exchange.saw_chunk(answer(id="first", choices=[{"finish_reason": "stop"}], usage=USAGE), 101.0)
    exchange.saw_chunk(answer(id="second", usage={"prompt_tokens": 9, "completion_tokens": 8}), 101.0)
    exchange.saw_chunk(answer(choices=[{"finish_reason": "length"}], usage={}), 101.0)

    record = exchange.settle("ok", 102.0, status=200)

    assert (record.response_id, record.finish_reason) == ("first", "length")
    assert (record.input_tokens, record.output_tokens) == (9, 8)


def test_a_request_is_settled_once():
    exchange = begun()
    first = exchange.settle("client_cancelled", 101.0, status=None)

    assert exchange.settle("ok", 105.0, status=200) is first
    assert exchange.record is first


def test_the_clock_may_start_at_zero():
    exchange = Exchange(dict(FACTS), -1.0)
    exchange.dispatched(CANDIDATE, -0.5)
    exchange.saw_chunk(said("a"), 0.0)
    exchange.saw_chunk(said("b"), 0.0)
    exchange.received(0.0)

    record = exchange.settle("ok", 9.0, status=200)

    assert (record.ttft_ms, record.output_ms, record.upstream_ms) == (1000.0, 0.0, 500.0)
    assert exchange.latency_ms(1.0) == 2000.0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, ("ok", None)),
        (204, ("ok", None)),
        (302, ("upstream_error", "http_302")),
        (400, ("client_error", "http_400")),
        (401, ("upstream_error", "http_401")),
        (403, ("upstream_error", "http_403")),
        (404, ("upstream_error", "http_404")),
        (408, ("upstream_error", "http_408")),
        (422, ("client_error", "http_422")),
        (429, ("upstream_error", "http_429")),
        (499, ("client_error", "http_499")),
        (500, ("upstream_error", "http_500")),
        (503, ("upstream_error", "http_503")),
    ],
)
def test_an_answers_status_says_whose_fault_it_was(status: int, expected: tuple[str, str | None]):
    assert outcome_of(status) == expected


def test_a_record_keeps_no_more_of_an_answer_than_it_has_bounds_for():
    exchange = begun()
    exchange.saw_answer(answer(id="x" * 257, choices=[{"finish_reason": "y" * 999}]))

    record = exchange.settle("ok", 102.0, status=200)

    assert (record.response_id, record.finish_reason) == (None, "y" * 64)


@pytest.mark.parametrize(("endpoint", "outcome"), [("other", "client_error"), ("embeddings", "upstream_error")])
def test_a_path_that_the_caller_alone_names_and_nobody_finds_is_the_callers_mistake(endpoint: str, outcome: str):
    exchange = begun()
    exchange.learn(endpoint=endpoint)
    exchange.answered(404)

    assert exchange.settle("upstream_error", 101.0, status=404, error_class="http_404").outcome == outcome


def test_what_was_never_sent_is_given_up_without_a_trace():
    exchange = begun(called=None)
    exchange.again(Failure(outcome="upstream_error", error_class="connect_refused"), 101.0)

    assert exchange.settle("shed", 102.0, status=503, error_class="queue_full").attempts == []


def test_the_first_bytes_of_sound_are_the_first_output_and_the_last_its_end():
    exchange = begun()
    exchange.saw_bytes(100.5)
    exchange.saw_bytes(101.5)
    record = exchange.settle("ok", 102.0, status=200)

    assert (record.ttft_ms, record.output_ms) == (500.0, 1000.0)
