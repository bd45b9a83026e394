"""Which answers are streams, and which of their headers come back."""

from __future__ import annotations

import pytest

from gateway.proxy.answered import headers_back, is_media, is_stream, length_back
from gateway.proxy.caller import Header
from tests.fakes.proxy import EVENTS, JSON, Moments, ScriptedAnswer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ([EVENTS], 200, True),
        ([(b"content-type", b"text/event-stream")], 201, True),
        ([(b"content-type", b"Text/Event-Stream;charset=UTF-8")], 200, True),
        ([JSON], 200, False),
        ([], 200, False),
        ([EVENTS], 429, False),
        ([EVENTS], 500, False),
        ([EVENTS], 302, False),
    ],
)
async def test_only_a_successful_answer_of_events_is_a_stream(headers: list[Header], status: int, expected: bool):  # noqa: FBT001 - pytest passes it by name
    assert is_stream(ScriptedAnswer(Moments(), status=status, headers=headers)) is expected


async def test_only_listed_headers_come_back():
    sent = [
        JSON,
        (b"content-length", b"5"),
        (b"set-cookie", b"canary"),
        (b"x-ratelimit-remaining-tokens", b"9"),
        (b"retry-after", b"1"),
        (b"retry-after-ms", b"900"),
        (b"x-should-retry", b"true"),
        (b"openai-organization", b"canary"),
        (b"openai-processing-ms", b"12"),
        (b"openai-version", b"2020-10-01"),
        (b"x-request-id", b"theirs"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"keep-alive"),
        (b"location", b"http://canary"),
        (b"x-turnout-arm", b"canary"),
        (b"cache-control", b"no-store"),
        (b"content-disposition", b"inline"),
    ]

    back = headers_back(ScriptedAnswer(Moments(), headers=sent))

    assert dict(back) == {
        b"content-type": b"application/json",
        b"x-ratelimit-remaining-tokens": b"9",
        b"retry-after": b"1",
        b"retry-after-ms": b"900",
        b"x-should-retry": b"true",
        b"openai-processing-ms": b"12",
        b"openai-version": b"2020-10-01",
        b"x-upstream-request-id": b"theirs",
        b"cache-control": b"no-store",
        b"content-disposition": b"inline",
    }


@pytest.mark.parametrize(
    ("headers", "status", "expected"),
    [
        ([JSON], 200, False),
        ([(b"content-type", b"application/json; charset=utf-8")], 200, False),
        ([(b"content-type", b"audio/mpeg")], 200, True),
        ([(b"content-type", b"text/plain")], 200, True),
        ([], 200, True),
        ([(b"content-type", b"audio/mpeg")], 500, False),
    ],
)
async def test_what_succeeds_and_is_no_json_is_media(headers: list[Header], status: int, expected: bool):  # noqa: FBT001 - pytest passes it by name
    assert is_media(ScriptedAnswer(Moments(), status=status, headers=headers)) is expected


async def test_a_length_comes_back_where_one_was_told():
    assert length_back(ScriptedAnswer(Moments(), headers=[JSON, (b"content-length", b"5")])) == [
        (b"content-length", b"5")
    ]
    assert not length_back(ScriptedAnswer(Moments(), headers=[JSON]))
