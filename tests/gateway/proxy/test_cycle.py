"""One request after the other on real sockets, answered by a small application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from gateway.proxy.caller import WATCH
from gateway.proxy.drain import DrainingProtocol, DrainState

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Any, Send], Awaitable[None]]


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def piece(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def answering(*messages: dict[str, Any]) -> Application:
    async def application(_: Any, receive: Any, send: Send) -> None:
        del receive
        for message in messages:
            await send(message)

    return application


@asynccontextmanager
async def connected(application: Application) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Serve an application on a socket of its own, and connect to it."""
    config = uvicorn.Config(application, log_config=None, log_level="critical")
    state = DrainState()

    def protocol() -> DrainingProtocol:
        return DrainingProtocol(config, state, {})

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        await server.wait_closed()


async def asked(application: Application, request: bytes = GET) -> bytes:
    """Return everything that is answered to one request, until the connection ends or is silent for a second."""
    received = b""
    async with connected(application) as (reader, writer):
        writer.write(request)
        try:
            async with asyncio.timeout(1):
                while more := await reader.read(65536):
                    received += more
        except TimeoutError:
            return received
    return received + b"<closed>"


async def test_a_whole_answer_leaves_in_one_write():
    length = (b"content-length", b"5")
    async with connected(answering(start(length), piece(b"hello"))) as (reader, writer):
        writer.write(GET)

        assert await reader.read(65536) == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


async def test_a_large_answer_is_whole():
    body = b"x" * 1_000_000

    answer = await asked(answering(start((b"content-length", b"%d" % len(body))), piece(body)))

    assert answer.partition(b"\r\n\r\n")[2] == body


async def test_an_answer_of_unknown_length_comes_in_chunks():
    answer = await asked(answering(start(), piece(b"one", more=True), piece(b"", more=True), piece(b"last")))

    assert answer == (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n4\r\nlast\r\n0\r\n\r\n")


async def test_an_empty_piece_lets_the_head_go():
    held = asyncio.Event()

    async def application(_: Any, receive: Any, send: Send) -> None:
        del receive
        await send(start())
        await send(piece(b"", more=True))
        await held.wait()

    async with connected(application) as (reader, writer):
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        held.set()


async def test_before_http_1_1_the_end_of_the_connection_is_the_end_of_the_answer():
    messages = start(), piece(b"one", more=True), piece(b"two")

    answer = await asked(answering(*messages), b"GET / HTTP/1.0\r\n\r\n")

    assert answer == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonetwo<closed>"


async def test_the_answer_to_head_has_a_length_and_no_body():
    messages = start((b"content-length", b"5")), piece(b"hello")

    answer = await asked(answering(*messages), b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n")

    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


async def test_an_answer_may_be_the_connections_last():
    answer = await asked(answering(start((b"connection", b"close"), (b"content-length", b"2")), piece(b"ok")))

    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok<closed>"


async def test_an_answer_that_has_no_body_is_not_framed():
    assert await asked(answering(start(status=204), piece(b""))) == b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize("value", [b"a\r\nx-forged: 1", b"a\nb", b"a\rb", b"a\r\n\r\nforged"])
async def test_a_header_that_holds_a_line_end_is_never_sent(value: bytes):
    answer = await asked(answering(start((b"x-model", value)), piece(b"ok")))

    head, _, body = answer.removesuffix(b"<closed>").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"forged" not in answer
    assert json.loads(body)["error"]["type"] == "server_error"


@pytest.mark.parametrize("body", [b"more than five", b"less"])
async def test_an_answer_of_another_length_than_declared_is_broken_off(body: bytes):
    answer = await asked(answering(start((b"content-length", b"5")), piece(body)))

    assert answer == b"<closed>"


async def test_an_application_that_fails_is_answered_in_the_envelope():
    async def application(_: Any, receive: Any, send: Send) -> None:
        del receive, send
        raise ValueError

    answer = await asked(application)

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert answer.endswith(b"<closed>")


class Watching:
    """An application that watches its caller; `left` counts what it is told."""

    def __init__(self, *, answers: bool = False) -> None:
        self.left = 0
        self.began = asyncio.Event()
        self.told = asyncio.Event()
        self._answers = answers

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        watch = scope["extensions"][WATCH]
        watch(self._leave)
        if self._answers:
            await send(start((b"content-length", b"2")))
            await send(piece(b"ok"))
        self.began.set()
        if not self._answers:
            await self.told.wait()
            watch(self._leave)

    def _leave(self) -> None:
        self.left += 1
        self.told.set()


async def test_who_watches_is_told_once_that_the_caller_left_and_at_once_if_it_has_left_already():
    application = Watching()
    async with connected(application) as (_, writer):
        writer.write(GET)
        await application.began.wait()
        assert application.left == 0

        writer.close()

        await asyncio.wait_for(application.told.wait(), 5)
        await asyncio.sleep(0.05)
        assert application.left == 2


async def test_after_the_answer_nobody_is_told():
    application = Watching(answers=True)
    async with connected(application) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b"ok")

    await asyncio.sleep(0.05)
    assert application.left == 0
