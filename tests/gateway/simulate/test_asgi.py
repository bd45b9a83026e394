from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from gateway.errors import TooLargeError
from gateway.simulate.asgi import MOST_BODY_BYTES, CallerGoneError, Message, Receive, read_body, respond, stay

GONE: Message = {"type": "http.disconnect"}


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def saying(messages: Sequence[Message]) -> Receive:
    """Return a caller who sends these messages and is silent afterwards."""
    waiting = list(messages)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return receive


@pytest.mark.anyio
async def test_a_body_is_read_in_its_parts():
    assert await read_body(saying([part(b"a", more=True), part(b"b")])) == b"ab"
    assert await read_body(saying([part(b"")])) == b""


@pytest.mark.anyio
async def test_a_caller_who_leaves_in_the_middle_of_the_body_is_gone():
    with pytest.raises(CallerGoneError):
        await read_body(saying([part(b"a", more=True), GONE]))


@pytest.mark.anyio
async def test_a_body_above_the_limit_is_refused():
    with pytest.raises(TooLargeError, match="larger than"):
        await read_body(saying([part(b"a" * (MOST_BODY_BYTES + 1), more=True)]))


@pytest.mark.anyio
async def test_staying_lasts_as_long_as_asked_while_the_caller_is_there():
    began = time.monotonic()

    await stay(saying([part(b"")]), 0.05)
    await stay(saying([GONE]), 0)

    assert time.monotonic() - began >= 0.045


@pytest.mark.anyio
async def test_staying_ends_at_once_when_the_caller_leaves():
    with pytest.raises(CallerGoneError):
        await stay(saying([GONE]), 60)


@pytest.mark.anyio
async def test_an_answer_carries_its_length():
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await respond(send, 200, [(b"a", b"b")], b"four")

    assert sent[0]["headers"] == [(b"a", b"b"), (b"content-length", b"4")]
    assert sent[1] == {"type": "http.response.body", "body": b"four"}
