from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags
from opentelemetry.sdk.resources import Resource

from analytics.record import Attempt, Opened, Record, interrupted
from analytics.telemetry.spans import is_wanted, spans_of
from analytics.trace import attempt_span_id
from tests.analytics.telemetry.conftest import STARTED_AT
from tests.fakes.otlp_backend import plain, sent

Settled = Callable[..., Record]
TRACE = {
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "80000123456789ab",
    "parent_span_id": "00f067aa0ba902b7",
}
UNSAMPLED = {**TRACE, "span_id": "80000123456789aa"}
MS = 1_000_000


def label(model: str) -> str:
    return model if model in {"tuned", "plain", "sales"} else "(other)"


def told(record: Record) -> list[Span]:
    return sent(spans_of(record, Resource({"service.name": "turnout"}), label))


def test_a_request_is_a_span_below_its_callers(settled: Settled) -> None:
    record = settled(
        **TRACE,
        stream=True,
        response_id="chatcmpl-1",
        finish_reason="stop",
        cached_tokens=100,
        reasoning_tokens=7,
        phase="canary",
    )
    span, _ = told(record)

    assert (span.name, span.kind) == ("chat sales", span.SPAN_KIND_CLIENT)
    assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()) == tuple(TRACE.values())
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (STARTED_AT * 1000, STARTED_AT * 1000 + 1000 * MS)
    assert span.status.code == span.status.STATUS_CODE_UNSET
    assert span.flags & SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    assert plain(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "sales",
        "gen_ai.request.stream": True,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "tuned",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.1,
        "gen_ai.usage.input_tokens": 300,
        "gen_ai.usage.output_tokens": 40,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.reasoning.output_tokens": 7,
        "http.response.status_code": 200,
        "turnout.request_id": record.request_id,
        "turnout.application": "shop",
        "turnout.endpoint": "chat.completions",
        "turnout.rollout": "sales",
        "turnout.phase": "canary",
        "turnout.purpose": "live",
        "turnout.arm_assigned": "candidate",
        "turnout.arm": "candidate",
        "turnout.upstream": "own",
        "turnout.outcome": "ok",
        "turnout.cost_usd": 0.002,
        "turnout.overhead_ms": 100.0,
    }


def test_the_flags_evaluation_is_an_event_of_the_request(settled: Settled) -> None:
    span, _ = told(settled(**TRACE, snapshot_version="1.7", user_hash=b"\xab" * 16))

    (event,) = span.events
    assert (event.name, event.time_unix_nano) == ("feature_flag.evaluation", STARTED_AT * 1000)
    assert plain(event.attributes) == {
        "feature_flag.key": "sales",
        "feature_flag.provider.name": "turnout",
        "feature_flag.result.variant": "candidate",
        "feature_flag.result.value": "tuned",
        "feature_flag.result.reason": "split",
        "feature_flag.version": "1.7",
        "feature_flag.context.id": "ab" * 16,
    }


def test_each_try_is_a_span_below_the_request_one_after_the_other(settled: Settled) -> None:
    failed = Attempt(
        arm="candidate", model="tuned", upstream="own", status=500, error_class="http_500", upstream_ms=200.0
    )
    helped = Attempt(arm="base", model="plain", upstream="far", status=200, error_class=None, upstream_ms=700.0)
    request, first, second = told(settled(**TRACE, attempts=[failed, helped]))

    for number, span in enumerate((first, second), start=1):
        assert (span.trace_id, span.parent_span_id) == (request.trace_id, request.span_id)
        assert span.span_id.hex() == attempt_span_id(TRACE["span_id"], number)
        assert not span.flags & SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    assert (first.name, second.name) == ("chat tuned", "chat plain")
    assert first.start_time_unix_nano == request.start_time_unix_nano + 100 * MS
    assert first.end_time_unix_nano == second.start_time_unix_nano == request.start_time_unix_nano + 300 * MS
    assert second.end_time_unix_nano == request.end_time_unix_nano
    assert (first.status.code, first.status.message) == (first.status.STATUS_CODE_ERROR, "http_500")
    assert second.status.code == second.status.STATUS_CODE_UNSET
    assert plain(first.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "tuned",
        "error.type": "http_500",
        "http.response.status_code": 500,
        "turnout.arm": "candidate",
        "turnout.upstream": "own",
        "turnout.attempt": 1,
    }


def test_a_failed_request_is_an_error_and_what_the_caller_got_wrong_is_none(settled: Settled) -> None:
    failed = told(settled(**TRACE, outcome="timeout", error_class="idle_timeout"))[0]
    refused = told(settled(**TRACE, outcome="client_error", error_class="http_400"))[0]

    assert (failed.status.code, failed.status.message) == (failed.status.STATUS_CODE_ERROR, "idle_timeout")
    assert refused.status.code == refused.status.STATUS_CODE_UNSET
    assert plain(refused.attributes)["error.type"] == "http_400"


def test_what_callers_make_up_is_not_told(settled: Settled) -> None:
    record = settled(**TRACE, model_requested="canary words", model_served="canary", tags={"canary": "canary"})

    assert "canary" not in str(told(record))


def test_what_is_not_known_is_left_out(settled: Settled) -> None:
    opened = Opened(
        request_id=settled().request_id,
        seq=1,
        started_at=STARTED_AT,
        trace_id=TRACE["trace_id"],
        span_id=TRACE["span_id"],
    )
    (span,) = told(interrupted(opened))

    assert span.name == "other"
    assert span.start_time_unix_nano == span.end_time_unix_nano
    assert not span.events
    assert set(plain(span.attributes)) == {
        *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.stream"),
        *("turnout.request_id", "turnout.purpose", "turnout.outcome"),
    }


def test_the_sampled_flag_is_in_the_context_of_each_span(settled: Settled) -> None:
    for trace, is_sampled in ((TRACE, True), (UNSAMPLED, False)):
        spans = spans_of(settled(**trace), Resource({}), label)

        contexts = [one for span in spans for one in (span.context, span.parent) if one is not None]
        assert [one.trace_flags.sampled for one in contexts] == [is_sampled] * 4


def test_without_a_trace_there_are_no_spans(settled: Settled) -> None:
    assert not told(settled())


def test_tries_that_took_longer_than_their_request_begin_with_it(settled: Settled) -> None:
    request, attempt = told(settled(**TRACE, latency_ms=10.0))

    assert attempt.start_time_unix_nano == request.start_time_unix_nano


@pytest.mark.parametrize(
    ("facts", "is_told"),
    [
        (TRACE, True),
        (UNSAMPLED, False),
        ({**UNSAMPLED, "outcome": "upstream_error"}, True),
        ({**UNSAMPLED, "outcome": "timeout"}, True),
        ({**UNSAMPLED, "outcome": "interrupted", "latency_ms": None}, True),
        ({**UNSAMPLED, "fallback_reason": "timeout"}, True),
        ({**UNSAMPLED, "outcome": "rejected"}, False),
        ({**UNSAMPLED, "outcome": "client_cancelled"}, False),
        ({**UNSAMPLED, "latency_ms": 5000.0}, True),
        ({**UNSAMPLED, "latency_ms": 4999.0}, False),
        ({"outcome": "upstream_error"}, False),
    ],
)
def test_failed_slow_and_sampled_requests_are_told(settled: Settled, facts: dict[str, Any], is_told: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_wanted(settled(**facts), slow_ms=5000.0) is is_told
