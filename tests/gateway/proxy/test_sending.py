"""A body on its way, on a transport that takes what the test lets it take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from gateway.proxy.answer import RunningAnswer
from gateway.proxy.http1 import chunk
from gateway.proxy.sending import Sending, WrongLengthError
from gateway.proxy.upstream import Clock, Source, StalledFault
from tests.fakes.source import Given
from tests.fakes.upstream import call_to

pytestmark = pytest.mark.anyio
PATIENCE_S = 10.0


class Transport:
    """Notes what it is given, and has room for nothing once it was told so."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.unsent_bytes: list[int] = []
        self.is_aborted = False

    def write(self, piece: bytes) -> None:
        self.written.append(piece)

    def get_write_buffer_size(self) -> int:
        """Return the next of the sizes that the test has given, and the last one from then on."""
        return self.unsent_bytes.pop(0) if len(self.unsent_bytes) > 1 else self.unsent_bytes[0]

    def abort(self) -> None:
        self.is_aborted = True

    def go_on(self) -> None:
        """Be a `Carrier`."""


class Line:
    """A body being sent, and the answer that whoever asked waits for."""

    def __init__(self, source: Source, **limits: float) -> None:
        self.transport = Transport()
        call = call_to("http://x", source, **limits)
        self.clock = Clock(call)
        self.answer = RunningAnswer(self.transport, self.clock)
        self.sending = Sending(cast("Any", self.transport), source, self.answer, self.clock)

    async def until_written(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.transport.written) < count:  # noqa: ASYNC110 - a list has no event
                await asyncio.sleep(0)

    async def end(self) -> BaseException | None:
        """Return what ended the sending for whoever waits for the answer."""
        waiting = asyncio.ensure_future(self.answer.head())
        async with asyncio.timeout(PATIENCE_S):
            while not (waiting.done() or self.sending.is_whole):  # noqa: ASYNC110 - either may come first
                await asyncio.sleep(0.001)
        if waiting.done():
            return waiting.exception()
        waiting.cancel()
        return None


async def test_a_body_of_known_length_is_whole_with_its_last_byte_and_nothing_is_asked_for_after_it():
    source = Given([b"ab", b"c"], 3, hangs=True)
    line = Line(source)

    assert await line.end() is None
    assert (line.transport.written, line.sending.is_whole) == ([b"ab", b"c"], True)


async def test_a_body_of_unknown_length_goes_in_chunks_with_a_last_one():
    line = Line(Given([b"ab", b"c"]))

    assert await line.end() is None
    assert b"".join(line.transport.written) == chunk(b"ab") + chunk(b"c") + chunk(b"")


async def test_nothing_is_read_of_an_empty_body():
    source = Given([b"never"], 0)

    assert await Line(source).end() is None
    assert source.given_bytes == 0


@pytest.mark.parametrize("declared_bytes", [2, 4])
async def test_another_length_than_declared_breaks_the_connection(declared_bytes: int):
    line = Line(Given([b"abc"], declared_bytes))

    assert isinstance(await line.end(), WrongLengthError)
    assert line.transport.is_aborted
    assert not line.sending.is_whole


async def test_while_the_transport_is_full_nothing_is_read():
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x"

    source = Given(endless(), 1000)
    line = Line(source)
    line.transport.unsent_bytes = [100]
    line.sending.pause()
    await line.until_written(1)
    await asyncio.sleep(0.05)
    assert source.given_bytes == 1
    line.sending.go_on()
    await line.until_written(2)

    line.sending.stop()


async def test_a_server_that_takes_a_little_has_not_stalled_and_one_that_takes_nothing_has():
    line = Line(Given([b"x"] * 10, 10), idle_s=0.5)
    line.transport.unsent_bytes = [100, 90, 90]
    line.sending.pause()
    began = asyncio.get_running_loop().time()

    stalled = await line.end()

    assert isinstance(stalled, StalledFault)
    assert stalled.limit == "idle"
    assert asyncio.get_running_loop().time() - began >= 0.9


async def test_a_stopped_body_lets_the_limits_of_the_answer_begin():
    line = Line(Given([b"x"], 10, hangs=True), first_byte_s=0.5)
    await line.until_written(1)
    line.sending.stop()

    with pytest.raises(StalledFault) as stalled:
        await asyncio.wait_for(line.answer.head(), PATIENCE_S)
    assert stalled.value.limit == "first_byte"
