"""A server in this process, told to end while connections are in every state that a connection can be in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from gateway.proxy.drain import DrainingProtocol, DrainingServer

pytestmark = pytest.mark.anyio
PATIENCE_S = 30.0
KEEP_ALIVE_S = 2
QUIET_S = 0.3
ASK = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def until(is_so: Callable[[], object]) -> None:
    while not is_so():  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.01)


class Application:
    """Answers `first` at once or when it is let go, and `second` when it is let go."""

    def __init__(self) -> None:
        self.begins = asyncio.Event()
        self.ends = asyncio.Event()
        self.asked = 0
        self.begins.set()
        self.ends.set()

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        self.asked += 1
        await self.begins.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"11")]})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await self.ends.wait()
        await send({"type": "http.response.body", "body": b"later", "more_body": False})


class Guest(DrainingServer):
    """A server that leaves signals to the test."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Server:
    """A running server, and connections to it."""

    def __init__(self, keep_alive_s: int = KEEP_ALIVE_S) -> None:
        self.application = Application()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        config = uvicorn.Config(
            self.application,
            http=DrainingProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            timeout_keep_alive=keep_alive_s,
            timeout_graceful_shutdown=5,
        )
        self.is_ready = asyncio.Event()
        self.server = Guest(config, self.is_ready.set)
        self.over = asyncio.create_task(self.server.serve(sockets=[self.listener]))

    async def drain(self) -> None:
        """Tell it to end, and wait until it drains."""
        self.server.should_exit = True
        await until(lambda: getattr(self.server.server_state, "is_draining"))  # noqa: B009 - uvicorn does not declare it
        await asyncio.sleep(0.05)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def asked(self, count: int) -> None:
        await until(lambda: self.application.asked >= count)

    async def connected(self) -> None:
        await until(lambda: self.server.server_state.connections)


@asynccontextmanager
async def serving(keep_alive_s: int = KEEP_ALIVE_S) -> AsyncGenerator[Server]:
    one = Server(keep_alive_s)
    async with asyncio.timeout(PATIENCE_S):
        await one.is_ready.wait()
        try:
            yield one
        finally:
            one.application.begins.set()
            one.application.ends.set()
            one.server.should_exit = True
            await one.over


async def answer(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    """Read one whole answer: its head and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    return head, await reader.readexactly(11)


async def test_an_idle_connection_is_answered_once_more_and_told_to_close():
    async with serving() as one:
        reader, writer = await one.connect()
        writer.write(ASK)
        first, _ = await answer(reader)
        await one.drain()

        writer.write(ASK)
        last, body = await answer(reader)

        assert "connection: close" not in first
        assert "connection: close" in last
        assert body == b"first later"
        assert await reader.read() == b""
        writer.close()


async def test_an_idle_connection_that_stays_quiet_is_closed_by_its_timer():
    async with serving() as one:
        reader, writer = await one.connect()
        writer.write(ASK)
        await answer(reader)
        await one.drain()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), QUIET_S)
        assert await reader.read() == b""
        await one.over
        writer.close()


async def test_a_connection_that_never_asked_may_still_ask():
    async with serving() as one:
        reader, writer = await one.connect()
        await one.connected()
        await one.drain()

        writer.write(ASK)
        head, body = await answer(reader)

        assert "connection: close" in head
        assert body == b"first later"
        writer.close()


async def test_a_connection_that_never_asks_keeps_nobody_from_ending():
    async with serving() as one:
        reader, writer = await one.connect()
        await one.connected()
        await one.drain()

        assert await reader.read() == b""
        await one.over
        writer.close()


async def test_half_a_request_may_be_finished():
    async with serving() as one:
        reader, writer = await one.connect()
        writer.write(ASK[:10])
        await one.connected()
        await one.drain()

        writer.write(ASK[10:])
        head, _ = await answer(reader)

        assert "connection: close" in head
        writer.close()


async def test_an_answer_that_has_not_begun_is_the_connections_last():
    async with serving() as one:
        one.application.begins.clear()
        reader, writer = await one.connect()
        writer.write(ASK)
        await one.asked(1)
        await one.drain()
        one.application.begins.set()

        head, body = await answer(reader)

        assert "connection: close" in head
        assert body == b"first later"
        assert await reader.read() == b""
        writer.close()


async def test_an_answer_that_has_begun_ends_whole_and_its_connection_is_answered_once_more():
    async with serving() as one:
        one.application.ends.clear()
        reader, writer = await one.connect()
        writer.write(ASK)
        head = await reader.readuntil(b"first ")
        await one.drain()
        one.application.ends.set()

        assert await reader.readexactly(5) == b"later"
        writer.write(ASK)
        last, _ = await answer(reader)

        assert b"connection: close" not in head
        assert "connection: close" in last
        writer.close()


async def test_a_draining_server_leaves_new_connections_to_others():
    async with serving(keep_alive_s=20) as one:
        others = socket.fromfd(one.listener.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        with others:
            reader, writer = await one.connect()
            writer.write(ASK)
            await answer(reader)
            await one.drain()

            with socket.create_connection(("127.0.0.1", one.port)):
                others.settimeout(PATIENCE_S)
                accepted, _ = others.accept()
                accepted.close()
            writer.write(ASK)
            await answer(reader)
            writer.close()
