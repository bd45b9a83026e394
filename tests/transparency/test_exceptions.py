"""What is not the upstream's, byte for byte: each exception that the product makes, and that it goes no further.

The list stands in `docs/http-api.md`; whatever is on it is shown here, and whatever is not is held against every shape.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from tests.fakes.reciting import Answer, asks_usage
from tests.fakes.wire_caller import Received
from tests.transparency.comparison import (
    COMMENT,
    OWN,
    assert_client_received_the_same,
    assert_upstream_heard_the_same,
    without_comments,
)
from tests.transparency.shape import Call, event, streaming
from tests.transparency.shapes.chat_requests import (
    DONE,
    FIRST,
    LAST,
    STREAMED,
    USAGE_CHUNK,
    WHOLE,
    chat,
    chunk,
    delta,
)
from tests.transparency.shapes.every import CALLS
from tests.transparency.stage import ANSWERED, COMMENT_S, SERVED, Stage

WHOLE_CALL, STREAM_CALL, ASKING_CALL, DECLINING_CALL = chat("exceptions").calls()
WORD = chunk(delta({"content": "Good"}))
ERROR = {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}


def received(stage: Stage, call: Call, answer: Answer) -> tuple[Received, Received]:
    """Return what a client receives from the upstream itself, and what through the gateway."""
    told = replace(call, answer=answer)
    return stage.direct(told, "moved").received, stage.through(told, "moved").received


def error_of(body: bytes) -> dict[str, object]:
    """Return the error that a body, or a stream's last event, tells."""
    return json.loads(body.rpartition(b"data: ")[2])["error"]


@pytest.mark.parametrize("call", [STREAM_CALL, DECLINING_CALL], ids=["unasked", "declined"])
def test_the_usage_chunk_is_asked_for_and_withheld_and_nothing_else_is(stage: Stage, call: Call):
    seen = stage.through(call, "moved")

    assert asks_usage(seen.heard.body)
    assert USAGE_CHUNK in STREAMED.said(asks_usage=True)
    assert seen.received.body == STREAMED.said(asks_usage=True).replace(USAGE_CHUNK, b"") == STREAMED.body


def test_the_usage_chunk_that_a_client_asks_for_is_its_own(stage: Stage):
    assert stage.through(ASKING_CALL, "moved").received.body == STREAMED.said(asks_usage=True)


def test_a_usage_chunk_that_comes_unasked_is_withheld_too_as_nobody_can_tell_it_apart(stage: Stage):
    direct, through = received(stage, STREAM_CALL, streaming(FIRST, LAST, USAGE_CHUNK, DONE))

    assert direct.body == FIRST + LAST + USAGE_CHUNK + DONE
    assert through.body == FIRST + LAST + DONE


def test_comments_come_while_a_stream_is_silent_and_stand_between_events_alone(stage: Stage):
    body = FIRST + WORD + LAST + DONE
    silent = streaming(body, cuts=(len(FIRST), len(FIRST) + 20), pause_s=COMMENT_S * 2)
    heard: list[bytes] = []

    while not any(COMMENT in each for each in heard) and len(heard) < 10:
        heard.append(stage.received(STREAM_CALL, "moved", silent).body)

    assert COMMENT in heard[-1]
    assert [without_comments(each) for each in heard] == [body] * len(heard)


@pytest.mark.parametrize("partial", [b"", WORD[:9], WORD[:-1]], ids=["nothing", "a little", "all but its end"])
def test_a_stream_that_breaks_off_ends_with_an_error_event_in_the_place_of_what_is_missing(
    stage: Stage, partial: bytes
):
    direct, through = received(stage, STREAM_CALL, streaming(FIRST, WORD, partial, breaks=True))

    assert (direct.is_whole, direct.body) == (False, FIRST + WORD + partial)
    assert through.is_whole
    assert through.body.startswith(FIRST + WORD + b'data: {"error":')
    assert through.body.count(b"data: ") == 3
    assert error_of(through.body)["code"] == "upstream_error"


def test_a_stream_that_ends_without_an_end_is_told_like_one_that_breaks_off(stage: Stage):
    direct, through = received(stage, STREAM_CALL, streaming(FIRST, WORD))

    assert (direct.is_whole, direct.body) == (True, FIRST + WORD)
    assert through.body.startswith(FIRST + WORD + b'data: {"error":')
    assert error_of(through.body)["code"] == "upstream_error"


def test_a_stream_that_begins_with_an_error_is_answered_by_a_status(stage: Stage):
    direct, through = received(stage, STREAM_CALL, streaming(b": hi\n\n", event({"error": ERROR}), DONE))

    assert direct.status == 200
    assert (through.status, through.header(b"content-type")) == (502, b"application/json")
    assert json.loads(through.body) == {"error": ERROR}


@pytest.mark.parametrize("call", [WHOLE_CALL, STREAM_CALL], ids=["whole", "streamed"])
def test_an_answer_that_breaks_off_before_anything_was_sent_is_answered_by_a_status(stage: Stage, call: Call):
    direct, through = received(stage, call, replace(WHOLE, framing="chunked", breaks=True))

    assert (direct.status, direct.is_whole) == (200, False)
    assert (through.status, error_of(through.body)["code"]) == (502, "upstream_error")


def test_a_compressed_answer_which_nobody_asked_for_is_answered_by_a_status(stage: Stage):
    zipped = Answer(body=b"\x1f\x8b\x08", headers=(b"content-type: application/json", b"content-encoding: gzip"))

    _, through = received(stage, WHOLE_CALL, zipped)

    assert (through.status, error_of(through.body)["code"]) == (502, "upstream_error")


@pytest.mark.parametrize("kind", [b"application/json; charset=utf-8", b"text/plain", b""])
def test_what_is_read_as_json_is_sent_as_json_whatever_its_client_calls_it(stage: Stage, kind: bytes):
    call = replace(WHOLE_CALL, shape=replace(WHOLE_CALL.shape, content_type=kind))

    heard = stage.through(call, "plain").heard

    assert dict(heard.headers)["content-type"] == "application/json"
    assert heard.body == call.body_for("plain")


def test_headers_outside_the_list_stay_with_the_gateway_and_its_own_are_added(stage: Stage):
    more = (b"location: http://127.0.0.1:9/", b"retry-after: 3", b"content-disposition: inline", b"via: 1.1 x")

    direct, through = received(stage, WHOLE_CALL, replace(WHOLE, headers=(*WHOLE.headers, *more)))

    sent = {name for name, _ in direct.headers}
    came = {name for name, _ in through.headers if not OWN.fullmatch(name)}
    assert sent >= {each.partition(b":")[0] for each in (*ANSWERED, *more)}
    assert came == {
        b"content-type",
        b"content-length",
        b"content-disposition",
        b"date",
        b"openai-processing-ms",
        b"openai-version",
        b"retry-after",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-tokens",
        b"x-upstream-request-id",
    }
    assert {name for name, _ in through.headers if OWN.fullmatch(name)} >= {b"x-request-id", b"x-turnout-arm"}


@pytest.mark.parametrize(
    "call",
    [call for call in CALLS if call.shape.content_type == b"application/json" and not call.shape.is_opaque][::40],
    ids=lambda call: call.name,
)
def test_base_hears_what_the_candidate_heard_and_its_answer_is_the_clients(stage: Stage, call: Call):
    """Both fail here, always: then base is asked three times a second, while there are few requests."""
    refused = replace(call, answer=replace(WHOLE, status=b"429 Too Many Requests"))
    time.sleep(0.5)
    direct = stage.direct(refused, "rescued")
    through = stage.through(refused, "rescued")

    assert_upstream_heard_the_same(refused, "rescued", direct, through)
    assert_client_received_the_same(refused, "rescued", direct.received, through.received)
    (earlier,) = through.earlier
    assert json.loads(earlier.body) == {**json.loads(through.heard.body), "model": SERVED["held"]}
    assert earlier.lines[0] == through.heard.lines[0]
