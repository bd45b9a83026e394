"""Bytes that are not quite HTTP: refused before they are a request, and never forwarded."""

from __future__ import annotations

import json

import pytest

from tests.bad_input.front import Front, encoded

SIZE = b"%d" % len(encoded())
CHUNKED = b"%x\r\n" % len(encoded()) + encoded() + b"\r\n0\r\n\r\n"
BROKEN: dict[str, tuple[list[bytes], bool, bytes | None]] = {
    "a length with a sign": ([b"Content-Length: +" + SIZE], False, None),
    "a length with an underscore": ([b"Content-Length: 5_0"], False, None),
    "a negative length": ([b"Content-Length: -5"], False, None),
    "a hexadecimal length": ([b"Content-Length: 0x50"], False, None),
    "an endless length": ([b"Content-Length: " + b"9" * 40], False, None),
    "no length after all": ([b"Content-Length:"], False, None),
    "two lengths": ([b"Content-Length: 3"], True, None),
    "the same length twice": ([b"Content-Length: " + SIZE], True, None),
    "a list of lengths": ([b"Content-Length: " + SIZE + b", " + SIZE], False, None),
    "a length and chunks": ([b"Transfer-Encoding: chunked"], True, CHUNKED),
    "chunks without a size": ([b"Transfer-Encoding: chunked"], False, b"zz\r\n" + encoded()),
    "a negative chunk": ([b"Transfer-Encoding: chunked"], False, b"-1\r\n" + encoded()),
    "a coding that hides chunks": ([b"Transfer-Encoding: xchunked"], False, CHUNKED),
    "chunked and then something": ([b"Transfer-Encoding: chunked, identity"], False, CHUNKED),
    "a folded header": ([b"X-A: a", b" b"], True, None),
    "a space before the colon": ([b"X-A : a"], True, None),
    "no colon": ([b"nonsense"], True, None),
    "a bare carriage return": ([b"X-A: a\rX-B: b"], True, None),
    "a NUL in a header": ([b"Idempotency-Key: a\x00b"], True, None),
    "a control character in a header": ([b"Idempotency-Key: a\x01b"], True, None),
}


@pytest.mark.parametrize(("lines", "length", "body"), BROKEN.values(), ids=BROKEN)
def test_broken_framing_is_refused_and_the_connection_closed(
    front: Front,
    lines: list[bytes],
    length: bool,  # noqa: FBT001 - pytest passes it by name
    body: bytes | None,
):
    before = {frame.request_id for frame in front.frames()}

    answer = front.raw(*lines, length=length, body=body)

    assert (answer.status, answer.is_closed, answer.rest) == (400, True, b"")
    assert answer.error["code"] == "invalid_http"
    assert answer.headers["connection"] == "close"
    assert front.key.encode() not in answer.body
    begun = [frame for frame in front.frames() if frame.request_id not in before]
    assert {getattr(frame, "outcome", "opened") for frame in begun} <= {"client_cancelled", "rejected"}


FIRST_LINES = {
    "a method that does not exist": b"STEAL /v1/chat/completions HTTP/1.1",
    "a small method": b"post /v1/chat/completions HTTP/1.1",
    "a tunnel": b"CONNECT elsewhere.example:443 HTTP/1.1",
    "no version": b"POST /v1/chat/completions",
    "a space in the path": b"POST /v1/chat completions HTTP/1.1",
    "a NUL in the path": b"POST /v1/\x00 HTTP/1.1",
    "raw bytes in the path": b"POST /v1/\xc3\xa9 HTTP/1.1",
    "raw bytes in the query": b"POST /v1/chat/completions?x=\xc3\xa9 HTTP/1.1",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("first", FIRST_LINES.values(), ids=FIRST_LINES)
def test_a_first_line_that_is_none_is_refused_and_the_connection_closed(front: Front, first: bytes):
    before = len(front.frames())

    answer = front.raw(first=first)

    assert (answer.status, answer.is_closed, answer.rest) == (400, True, b"")
    assert len(front.frames()) == before


@pytest.mark.parametrize("first", [b"POST /v1/chat/completions HTTP/9.9", b"PRI * HTTP/2.0"])
def test_another_version_is_refused_as_such(front: Front, first: bytes):
    answer = front.raw(first=first)

    assert (answer.status, answer.error["code"], answer.is_closed) == (505, "http_version_not_supported", True)


def test_line_feeds_alone_are_refused(front: Front):
    sent = b"POST /v1/chat/completions HTTP/1.1\nHost: x\nContent-Length: 0\n\n"

    assert front.bytes(sent).status == 400


def test_chunks_are_a_body_like_any_other(running: Front):
    answer = running.raw(b"Transfer-Encoding: chunked", length=False, body=CHUNKED)

    assert json.loads(answer.body)["object"] == "chat.completion"


def test_a_caller_that_asks_for_leave_gets_it(running: Front):
    answer = running.raw(b"Expect: 100-continue")

    assert (answer.status, answer.body) == (100, b"")
    assert answer.rest.startswith(b"HTTP/1.1 200") or not answer.rest


def test_an_older_version_is_answered_and_closed(running: Front):
    answer = running.raw(first=b"POST /v1/chat/completions HTTP/1.0")

    assert (answer.status, answer.is_closed, answer.rest) == (200, True, b"")


def test_a_request_without_a_body_is_refused(front: Front):
    front.assert_refused(front.raw(length=False, body=b""), 400, "invalid_json")
