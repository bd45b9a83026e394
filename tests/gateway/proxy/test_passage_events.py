"""Streams whose events say their type - responses, images, speech - cut at every byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.proxy.exchange import Exchange
from gateway.proxy.passage import Passage

FACTS: dict[str, Any] = {"request_id": "r", "seq": 1, "started_at": 0}
USAGE = {
    "input_tokens": 12,
    "output_tokens": 4,
    "total_tokens": 16,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens_details": {"reasoning_tokens": 2},
}


def event(kind: str, /, *, named: bool = True, **fields: Any) -> bytes:
    head = f"event: {kind}\n" if named else ""
    return f"{head}data: {json.dumps({'type': kind, **fields})}\n\n".encode()


def response(kind: str, status: str, **fields: Any) -> bytes:
    return event(f"response.{kind}", response={"id": "resp_1", "object": "response", "status": status, **fields})


CREATED = response("created", "in_progress", usage=None, error=None, sequence_number=0)
TEXT = event("response.output_text.delta", delta="Hello", sequence_number=1)
COMPLETED = response("completed", "completed", usage=USAGE, service_tier="default", error=None)
INCOMPLETE = response("incomplete", "incomplete", usage=USAGE, incomplete_details={"reason": "max_output_tokens"})
FAILED = response("failed", "failed", error={"code": "server_error", "message": "no"}, usage=USAGE)
PARTIAL = event("image_generation.partial_image", named=False, b64_json="aW1n", partial_image_index=0)
IMAGE = event("image_generation.completed", b64_json="aW1hZ2U=", usage=USAGE)
SOUND = event("speech.audio.delta", named=False, audio="c291bmQ=")
SPOKEN = event("speech.audio.done", named=False, usage={"input_tokens": 14, "output_tokens": 101, "total_tokens": 115})
FLAT_ERROR = event("error", code="rate_limit_exceeded", message="slow down", param=None, sequence_number=5)
NESTED_ERROR = event("error", error={"type": "server_error", "message": "no", "code": None, "param": None})

STREAMS = {
    "completed": (CREATED, TEXT, COMPLETED),
    "incomplete": (CREATED, TEXT, INCOMPLETE),
    "failed": (CREATED, TEXT, FAILED),
    "error": (CREATED, TEXT, FLAT_ERROR),
    "nested error": (CREATED, TEXT, NESTED_ERROR),
    "image": (PARTIAL, IMAGE),
    "speech": (SOUND, SOUND, SPOKEN),
    "with done": (CREATED, COMPLETED, b"data: [DONE]\n\n"),
}


def passage(last_events: int = 1) -> tuple[Passage, Exchange]:
    exchange = Exchange(dict(FACTS), 100.0)
    return Passage(exchange, withholds_usage=False, last_events=last_events), exchange


def seen(through: Passage, exchange: Exchange) -> tuple[Any, ...]:
    record = exchange.settle("ok", 102.0, status=200)
    usage = (record.input_tokens, record.output_tokens, record.usage_source)
    told = (through.is_complete, through.has_failed, through.error_class, through.sequence)
    return (*told, *usage, record.finish_reason, record.response_id, record.ttft_ms)


@pytest.mark.parametrize("events", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_stream_means_the_same_wherever_its_bytes_are_cut(events: tuple[bytes, ...], newline: bytes):
    stream = b"".join(events).replace(b"\n", newline)
    whole, learnt = passage()
    assert whole.take(stream, 101.0) == stream
    expected = seen(whole, learnt)

    for cut in range(1, len(stream)):
        through, exchange = passage()
        passed = through.take(stream[:cut], 101.0) + through.take(stream[cut:], 101.0)
        assert passed + through.rest(101.0) == stream
        assert seen(through, exchange) == expected
    through, exchange = passage()
    assert b"".join(through.take(stream[at : at + 1], 101.0) for at in range(len(stream))) == stream
    assert seen(through, exchange) == expected


@pytest.mark.parametrize(
    ("events", "finish_reason"), [(STREAMS["completed"], "completed"), (STREAMS["incomplete"], "max_output_tokens")]
)
def test_a_response_is_complete_with_the_event_that_says_so(events: tuple[bytes, ...], finish_reason: str):
    through, exchange = passage()

    for at, each in enumerate(events):
        assert not through.is_complete
        through.take(each, 101.0 + at)

    record = exchange.settle("ok", 105.0, status=200)
    assert (through.is_complete, through.has_failed) == (True, False)
    assert (record.response_id, record.finish_reason, record.ttft_ms) == ("resp_1", finish_reason, 2000.0)
    assert (record.input_tokens, record.cached_tokens, record.output_tokens, record.reasoning_tokens) == (12, 8, 4, 2)


def test_a_failed_response_is_complete_and_has_failed_and_its_usage_counts():
    through, exchange = passage()

    through.take(b"".join(STREAMS["failed"]), 101.0)

    assert (through.is_complete, through.has_failed, through.error_class) == (True, True, "response_failed")
    assert exchange.settle("upstream_error", 102.0, status=200).input_tokens == 12


@pytest.mark.parametrize(
    ("first", "body"),
    [
        (FLAT_ERROR, b'{"error":' + FLAT_ERROR.partition(b"data: ")[2].strip() + b"}"),
        (NESTED_ERROR, NESTED_ERROR.partition(b"data: ")[2].strip()),
        (FAILED, b'{"error":{"code": "server_error", "message": "no"}}'),
    ],
)
def test_an_error_before_anything_else_is_kept_as_a_body_with_an_error(first: bytes, body: bytes):
    through, _ = passage()

    through.take(first, 101.0)

    assert through.first_error == body
    assert json.loads(body)["error"]["message"]


@pytest.mark.parametrize(
    "kind",
    [
        "response.output_text.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
        "response.code_interpreter_call_code.delta",
        "response.refusal.delta",
        "response.audio.delta",
        "response.audio.transcript.delta",
        "response.image_generation_call.partial_image",
        "image_generation.partial_image",
        "image_edit.completed",
        "speech.audio.delta",
        "transcript.text.delta",
    ],
)
def test_output_of_every_kind_is_the_first_output(kind: str):
    through, exchange = passage()
    through.take(CREATED, 101.0)
    through.take(event(kind, delta="x"), 102.5)

    assert exchange.settle("ok", 103.0, status=200).ttft_ms == 2500.0


@pytest.mark.parametrize(
    "silent",
    [
        CREATED,
        event("response.in_progress", response={"status": "in_progress"}),
        event("response.output_item.added", item={"type": "message"}),
        event("response.output_text.delta", delta=""),
        event("response.web_search_call.searching", item_id="x"),
        event("speech.audio.done"),
    ],
)
def test_what_carries_no_output_is_not_the_first_output(silent: bytes):
    through, exchange = passage()
    through.take(silent, 101.0)

    record = exchange.settle("ok", 103.0, status=200)
    assert (record.ttft_ms, record.usage_source) == (None, "missing")


@pytest.mark.parametrize("piece", [SOUND, PARTIAL])
def test_pieces_of_sound_and_pictures_are_not_counted_as_tokens(piece: bytes):
    through, exchange = passage()
    through.take(piece + piece, 101.0)

    record = exchange.settle("ok", 103.0, status=200)
    assert (record.ttft_ms, record.output_tokens, record.usage_source) == (1000.0, None, "missing")


def test_pieces_of_text_are():
    through, exchange = passage()
    through.take(CREATED + TEXT + TEXT, 101.0)

    record = exchange.settle("upstream_error", 103.0, status=200)
    assert (record.output_tokens, record.usage_source) == (2, "estimated")


def test_each_of_several_images_is_waited_for():
    through, _ = passage(last_events=2)

    through.take(PARTIAL + IMAGE, 101.0)
    assert not through.is_complete
    through.take(IMAGE, 102.0)
    assert through.is_complete


def test_where_the_end_is_not_known_no_event_is_the_last():
    through, _ = passage(last_events=0)

    through.take(b"".join(STREAMS["completed"]), 101.0)

    assert not through.is_complete


def test_what_comes_behind_the_end_is_kept_for_the_caller():
    through, _ = passage()

    assert through.take(COMPLETED + b"data: [DO", 101.0) == COMPLETED
    assert through.rest(102.0) == b"data: [DO"
