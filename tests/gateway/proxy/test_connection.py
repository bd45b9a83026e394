"""One connection, its bytes given by hand: how they are cut changes nothing, and nothing grows without bound."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.connection import Connection, RunningAnswer
from gateway.proxy.upstream import BrokenFault, Clock
from tests.fakes.upstream import call_to


class Transport:
    """Notes what a connection does with it."""

    def __init__(self) -> None:
        self.written = b""
        self.is_paused = False
        self.is_aborted = False

    def get_extra_info(self, name: str) -> None:
        return None

    def write(self, piece: bytes) -> None:
        self.written += piece

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


class Line:
    """A connection on such a transport, and its answer to one request."""

    def __init__(self, method: str = "POST") -> None:
        self.transport = Transport()
        self.given_back = 0
        self.connection = Connection(self._take_back, lambda _: None)
        self.connection.connection_made(cast("Any", self.transport))
        self.answer = self.ask(method)

    def _take_back(self, _: Connection) -> None:
        self.given_back += 1

    def ask(self, method: str = "POST") -> RunningAnswer:
        return self.connection.send(method, b"head", b"body", Clock(call_to("http://x")))

    async def all(self) -> bytes:
        body = b""
        while piece := await self.answer.chunk():
            body += piece
        return body


ANNOUNCED = b"HTTP/1.1 103 E\r\nlink: x\r\n\r\n"
CHUNKS = b"3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nt: x\r\n\r\n"
CHUNKED = ANNOUNCED + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg"


@given(st.sampled_from([CHUNKED, LENGTH]), st.lists(st.integers(0, len(CHUNKED)), max_size=12))
def test_an_answer_is_the_same_however_its_bytes_come(sent: bytes, cuts: list[int]):
    async def relayed() -> None:
        line = Line()
        places = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]
        for start, stop in pairwise(places):
            if start < stop:
                line.connection.data_received(sent[start:stop])

        await line.answer.head()
        assert (line.answer.status, len(line.answer.headers)) == (200, 1)
        assert await line.all() == b"abcdefg"
        assert (line.given_back, line.transport.is_aborted) == (1, False)
        assert line.transport.written == b"headbody"

    asyncio.run(relayed())


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8))
def test_whatever_comes_is_an_answer_or_a_break(pieces: list[bytes]):
    async def relayed() -> None:
        line = Line()
        for piece in pieces:
            if line.connection.is_open:
                line.connection.data_received(piece)
        line.connection.connection_lost(None)

        try:
            await line.answer.head()
            await line.all()
        except BrokenFault:
            assert not line.given_back

    asyncio.run(relayed())


@pytest.mark.anyio
async def test_a_slow_reader_stops_the_reading_until_it_has_taken_what_came():
    line = Line()
    line.connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 600000\r\n\r\n")

    line.connection.data_received(b"x" * 200_000)
    assert not line.transport.is_paused
    line.connection.data_received(b"x" * 200_000)
    assert line.transport.is_paused

    assert len(await line.answer.chunk()) == 400_000
    assert not line.transport.is_paused


@pytest.mark.anyio
async def test_an_answer_that_is_whole_lets_its_connection_read_on():
    line = Line()
    line.connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + b"x" * 300_000)

    assert (line.given_back, line.transport.is_paused) == (1, False)
    line.connection.data_received(b"unasked")
    assert line.transport.is_aborted


@pytest.mark.anyio
async def test_the_close_of_an_answer_that_is_whole_leaves_its_connection_alone():
    line = Line()
    line.connection.data_received(LENGTH)
    line.answer.close()

    assert not line.transport.is_aborted


@pytest.mark.anyio
@pytest.mark.parametrize("version", [b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK\r\nConnection: Close"])
async def test_a_connection_that_does_not_stay_is_not_given_back(version: bytes):
    line = Line()
    line.connection.data_received(version + b"\r\ncontent-length: 2\r\n\r\nok")

    assert await line.all() == b"ok"
    assert (line.given_back, line.transport.is_aborted) == (0, True)


@pytest.mark.anyio
async def test_an_answer_may_end_with_its_connection():
    line = Line()
    line.connection.data_received(b"HTTP/1.1 200 OK\r\n\r\npart")
    line.connection.eof_received()

    assert await line.all() == b"part"
    assert not line.given_back


@pytest.mark.anyio
async def test_after_the_answer_to_head_the_connection_is_used_again():
    line = Line("HEAD")
    line.connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
    assert await line.all() == b""

    line.answer = line.ask()
    line.connection.data_received(LENGTH)

    assert await line.all() == b"abcdefg"
    assert line.given_back == 2
