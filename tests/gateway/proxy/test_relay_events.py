"""Answers other than chat's, brought to the caller: events that say their type, sound, and answers of unknown ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.proxy.caller import Header
from gateway.proxy.endpoints import CHAT, KNOWN, OTHER, Endpoint
from gateway.proxy.relay import HELD_BYTES, FirstEventError
from gateway.proxy.upstream import BrokenFault, Fault, StalledFault
from tests.fakes.proxy import EVENTS, JSON
from tests.fakes.relayed import Relayed

pytestmark = pytest.mark.anyio
RESPONSES = KNOWN["/v1/responses"]
SPEECH = KNOWN["/v1/audio/speech"]
IMAGES = KNOWN["/v1/images/generations"]
SOUND: Header = (b"content-type", b"audio/mpeg")


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def response(kind: str, status: str, **fields: Any) -> bytes:
    return event(f"response.{kind}", response={"id": "resp_1", "status": status, **fields})


CREATED = response("created", "in_progress", usage=None)
TEXT = event("response.output_text.delta", delta="Hello", sequence_number=7)
COMPLETED = response("completed", "completed", usage={"input_tokens": 5000, "output_tokens": 2000})
FAILED = response("failed", "failed", error={"code": "server_error", "message": "no"}, usage={"input_tokens": 5})
IMAGE = event("image_generation.completed", b64_json="aQ==", usage={"input_tokens": 5000, "output_tokens": 2000})
ENDS = [
    (RESPONSES, [CREATED, TEXT], COMPLETED, ("ok", 200, None)),
    (RESPONSES, [CREATED, TEXT], response("incomplete", "incomplete"), ("ok", 200, None)),
    (RESPONSES, [CREATED, TEXT], FAILED, ("upstream_error", 200, "response_failed")),
    (IMAGES, [], IMAGE, ("ok", 200, None)),
    (SPEECH, [event("speech.audio.delta", audio="eA==")], event("speech.audio.done"), ("ok", 200, None)),
]


@pytest.mark.parametrize(("endpoint", "before", "last", "ending"), ENDS)
async def test_the_record_is_written_before_the_event_that_ends_the_stream(
    endpoint: Endpoint, before: Sequence[bytes], last: bytes, ending: tuple[str, int, str | None]
):
    stream = b"".join(before) + last
    relayed = await Relayed(*[stream[at : at + 1] for at in range(len(stream))], headers=[EVENTS]).any(endpoint)

    assert relayed.caller.body == stream
    assert relayed.ending == ending
    assert relayed.is_closed_before("write")
    assert relayed.caller.is_finished


async def test_an_end_in_the_same_bytes_as_the_rest_is_recorded_before_anything_of_them_is_sent():
    relayed = await Relayed(CREATED + TEXT + COMPLETED).stream(endpoint=RESPONSES)

    assert relayed.moments.seen == ["opened", "chunk 1", "closed ok", "start", "write", "chunk 2", "finish"]
    assert relayed.journal.record.cost_usd == pytest.approx(0.009)


@pytest.mark.parametrize(
    "behind", [[b"data: [DONE]\n\n"], [b"da", b"ta: [DONE]\n\n"], [b": bye\n\n", BrokenFault("connection_lost")]]
)
async def test_what_an_upstream_sends_behind_its_last_event_passes_and_changes_nothing(behind: list[bytes | Fault]):
    first, *rest = behind
    assert isinstance(first, bytes)
    relayed = await Relayed(CREATED, COMPLETED + first, *rest).stream(endpoint=RESPONSES)

    sent = b"".join(piece for piece in behind if isinstance(piece, bytes))
    assert relayed.caller.body == CREATED + COMPLETED + sent
    assert relayed.ending == ("ok", 200, None)
    assert relayed.caller.is_finished


async def test_an_upstream_that_never_closes_behind_its_last_event_is_left_after_a_moment():
    relayed = Relayed(COMPLETED)
    relayed.moments.leave_at = "chunk 2"

    await relayed.stream(endpoint=RESPONSES)

    assert relayed.ending == ("ok", 200, None)
    assert relayed.caller.is_finished


async def test_several_images_end_with_the_last_of_them():
    relayed = await Relayed(IMAGE, IMAGE, headers=[EVENTS]).any(IMAGES, last_events=2)

    assert relayed.moments.seen.index("closed ok") > relayed.moments.seen.index("chunk 2")
    assert relayed.caller.body == IMAGE + IMAGE


@pytest.mark.parametrize(
    ("fault", "ending", "code"),
    [
        (StalledFault("idle"), ("timeout", 200, "idle_timeout"), "upstream_timeout"),
        (BrokenFault("connection_lost"), ("upstream_error", 200, "connection_lost"), "upstream_error"),
        (None, ("upstream_error", 200, "closed_early"), "upstream_error"),
    ],
)
async def test_a_response_that_breaks_off_ends_with_an_error_event_of_its_own_kind(
    fault: Fault | None, ending: tuple[str, int, str], code: str
):
    relayed = await Relayed(CREATED, TEXT, *([fault] if fault else [])).stream(endpoint=RESPONSES)

    name, _, content = relayed.caller.body.removeprefix(CREATED + TEXT).partition(b"\ndata: ")
    told = json.loads(content)
    assert (name, told["type"], told["sequence_number"]) == (b"event: error", "error", 8)
    assert (told["code"], told["param"], told["error"]["code"]) == (code, None, code)
    assert told["message"] == told["error"]["message"] != ""
    assert relayed.ending == ending
    assert relayed.is_closed_before("write")


async def test_other_streams_break_off_as_chat_completions_do():
    relayed = await Relayed(event("image_generation.partial_image"), StalledFault("idle")).stream(endpoint=IMAGES)

    assert relayed.last_event["error"]["code"] == "upstream_timeout"
    assert relayed.caller.body.rpartition(b"\n\ndata: ")[1]


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (event("error", code="x", message="no", param=None), {"type": "error", "code": "x", "message": "no"}),
        (FAILED, {"code": "server_error", "message": "no"}),
    ],
)
async def test_a_response_that_begins_with_an_error_becomes_the_body_of_an_error(first: bytes, error: dict[str, str]):
    relayed = Relayed(first, headers=[EVENTS])

    with pytest.raises(FirstEventError) as caught:
        await relayed.stream(endpoint=RESPONSES)

    assert json.loads(caught.value.envelope())["error"].items() >= error.items()
    assert not relayed.caller.sent


async def test_an_error_behind_the_beginning_passes_and_is_recorded():
    error = event("error", code="x", message="no")
    relayed = await Relayed(CREATED, error).stream(endpoint=RESPONSES)

    assert relayed.caller.body == CREATED + error
    assert relayed.ending == ("upstream_error", 200, "error_event")
    assert relayed.is_closed_before("write")


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES])
async def test_an_error_in_the_place_of_an_answer_is_no_answer(endpoint: Endpoint):
    relayed = await Relayed(b'{"error":{"message":"no"}}', headers=[JSON]).any(endpoint)

    assert relayed.ending == ("upstream_error", 200, "response_failed")


async def test_a_whole_response_that_failed_is_an_error_of_the_upstream():
    body = b'{"id":"resp_1","status":"failed","error":{"message":"no"},"usage":{"input_tokens":5,"output_tokens":0}}'

    relayed = await Relayed(body, headers=[JSON]).any(RESPONSES)

    assert relayed.caller.body == body
    assert relayed.ending == ("upstream_error", 200, "response_failed")
    assert relayed.journal.record.input_tokens == 5


@pytest.mark.parametrize("steps", [[b"ID3abc", b"d", b"efg"], [b"I"], []])
async def test_sound_passes_as_it_comes_and_its_last_byte_waits_for_the_record(steps: list[bytes]):
    relayed = await Relayed(*steps, headers=[SOUND]).any(SPEECH)

    assert relayed.caller.body == b"".join(steps)
    assert relayed.caller.headers == {"content-type": "audio/mpeg", "x-request-id": "r1"}
    assert relayed.ending == ("ok", 200, None)
    assert relayed.is_closed_before("finish")
    record = relayed.journal.record
    assert (record.cost_usd, record.cost_unknown, record.usage_source) == (None, "no_usage", "missing")
    assert (record.ttft_ms is None) == (not steps)


@pytest.mark.parametrize(("length", "first"), [([], b"ID3abc"), ([(b"content-length", b"12")], b"ID3ab")])
async def test_of_sound_a_byte_is_held_back_where_its_length_would_tell_that_it_is_the_last(
    length: list[Header], first: bytes
):
    relayed = await Relayed(b"ID3abc", b"defghi", headers=[SOUND, *length]).any(SPEECH)

    seen = relayed.moments.seen
    assert seen[:6] == ["opened", "chunk 1", "start", "write", "chunk 2", "write"]
    assert relayed.caller.sent[1]["body"] == first


async def test_the_length_of_sound_is_told_where_it_is_known():
    relayed = await Relayed(b"abc", headers=[SOUND, (b"content-length", b"3")]).any(SPEECH)

    assert relayed.caller.headers["content-length"] == "3"


async def test_sound_that_breaks_off_before_its_first_byte_leaves_the_caller_to_be_told():
    relayed = Relayed(StalledFault("first_byte"), headers=[SOUND])

    with pytest.raises(StalledFault):
        await relayed.any(SPEECH)
    assert not relayed.caller.sent


async def test_sound_that_breaks_off_later_is_not_finished():
    relayed = Relayed(b"abc", BrokenFault("connection_lost"), headers=[SOUND])

    with pytest.raises(BrokenFault):
        await relayed.any(SPEECH)
    assert relayed.ending == ("upstream_error", 200, "connection_lost")
    assert not relayed.caller.is_finished


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_an_error_of_a_speech_endpoint_is_read_whole(status: int):
    relayed = await Relayed(b"<p>no</p>", status=status, headers=[(b"content-type", b"text/html")]).any(SPEECH)

    assert (relayed.caller.status, relayed.caller.body) == (status, b"<p>no</p>")
    assert "x-turnout-latency-ms" in relayed.caller.headers


@pytest.mark.parametrize("path", [path for path, endpoint in KNOWN.items() if not endpoint.is_media])
async def test_what_is_no_json_stays_malformed_where_json_is_due(path: str):
    relayed = await Relayed(b"ID3", headers=[SOUND]).any(KNOWN[path])

    assert relayed.ending == ("malformed", 200, "not_json")


async def test_json_of_an_endpoint_of_media_is_read():
    body = b'{"text":"hi","usage":{"type":"tokens","input_tokens":5000,"output_tokens":2000}}'

    relayed = await Relayed(body, headers=[JSON]).any(KNOWN["/v1/audio/transcriptions"])

    assert relayed.journal.record.input_tokens == 5000


async def test_a_stream_of_an_unknown_endpoint_ends_when_the_upstream_ends_it():
    stream = event("poem.line", text="x") + event("poem.over")
    relayed = await Relayed(*[stream[at : at + 7] for at in range(0, len(stream), 7)], headers=[EVENTS]).any(OTHER)

    assert relayed.caller.body == stream
    assert relayed.ending == ("ok", 200, None)
    assert relayed.is_closed_before("finish")


async def test_a_stream_of_an_unknown_endpoint_that_breaks_is_told():
    relayed = await Relayed(event("poem.line"), BrokenFault("connection_lost"), headers=[EVENTS]).any(OTHER)

    assert relayed.ending == ("upstream_error", 200, "connection_lost")
    assert relayed.last_event["error"]["code"] == "upstream_error"


@pytest.mark.parametrize(
    ("path", "input_tokens"), [("/v1/embeddings", 5000), ("/v1/images/edits", 5000), ("/v1/responses", None)]
)
async def test_the_usage_of_an_answer_too_large_to_hold_is_read_where_it_ends_with_it(
    path: str, input_tokens: int | None
):
    numbers = b'{"data":[' + b"0.125," * (HELD_BYTES // 5)
    ending = b'1],"usage":{"prompt_tokens":5000,"total_tokens":5000}}'

    relayed = await Relayed(numbers, ending[:20], ending[20:], headers=[JSON]).any(KNOWN[path])

    assert relayed.caller.body == numbers + ending
    assert relayed.ending == ("ok", 200, None)
    assert relayed.journal.record.input_tokens == input_tokens
