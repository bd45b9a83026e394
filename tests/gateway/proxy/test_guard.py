"""The protocol on real sockets with a small application; the vectors of `tests/faults/` go through a whole gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.proxy.guard import GuardedProtocol
from gateway.proxy.rounds import Guard
from gateway.settings.schema import Server
from tests.fakes.upstream import until

SHORT = Server(head_timeout_s=0.5, body_timeout_s=0.5, write_timeout_s=0.5)
LONG = Server()
POST = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"


class Gateway:
    """What a served application saw, and how to speak to it."""

    def __init__(self, limits: Server) -> None:
        self.seen: list[tuple[dict[bytes, bytes], bytes]] = []
        self.gone = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.guard = Guard(limits)
        self.port = 0

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        else:
            self.gone += 1
            return
        self.seen.append((dict(scope["headers"]), body))
        await self.hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok", "more_body": False})

    async def exchange(self, *sent: bytes) -> bytes:
        """Send pieces, then let the application answer; return everything until the connection is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for piece in sent:
            writer.write(piece)
            await asyncio.sleep(0.02)
        self.hold.set()
        received = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return received


@asynccontextmanager
async def serving(limits: Server = LONG) -> AsyncIterator[Gateway]:
    gateway = Gateway(limits)
    config = uvicorn.Config(cast("Any", gateway), lifespan="off", log_config=None)
    config.load()
    making = partial(GuardedProtocol, gateway.guard, config=config, server_state=ServerState(), app_state={})
    server = await asyncio.get_running_loop().create_server(making, "127.0.0.1", 0)
    gateway.port = server.sockets[0].getsockname()[1]
    watching = asyncio.create_task(gateway.guard.watch())
    try:
        yield gateway
    finally:
        watching.cancel()
        server.close()


def error(received: bytes) -> tuple[bytes, str]:
    return received[9:12], json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"]


@pytest.mark.anyio
@pytest.mark.parametrize("sent", [b"", b"POST", POST, POST + b"Content-Length: 9\r\n\r\n", b"\r\n"])
async def test_what_does_not_come_in_time_is_refused(sent: bytes):
    async with serving(SHORT) as gateway:
        assert error(await gateway.exchange(sent)) == (b"408", "request_timeout")
        assert gateway.seen == []
        await until(lambda: not gateway.guard.connections)


@pytest.mark.anyio
async def test_a_body_that_comes_too_slowly_is_refused_and_the_application_told():
    async with serving(SHORT) as gateway:
        received = await gateway.exchange(POST + b"Content-Length: 9000\r\n\r\n", *[b"a"] * 10)

        assert error(received) == (b"408", "request_timeout")
        await until(lambda: gateway.gone == 1)


@pytest.mark.anyio
async def test_trailers_are_dropped():
    async with serving() as gateway:
        chunks = b"2\r\nab\r\n0\r\nX-Late: a\r\n\r\n"
        await gateway.exchange(POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n", chunks)
        await gateway.exchange(POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)

    assert [(headers.get(b"x-late"), body) for headers, body in gateway.seen] == [(None, b"ab")] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("more", [b";" + b"a" * 300_000, b"\r\nab\r\n0\r\nX-Late: " + b"a" * 300_000])
async def test_endless_framing_is_refused(more: bytes):
    async with serving() as gateway:
        sent = POST + b"Transfer-Encoding: chunked\r\n\r\n2"

        assert error(await gateway.exchange(sent, more)) == (b"400", "invalid_http")


@pytest.mark.anyio
async def test_an_upgrade_is_read_as_plain_http():
    async with serving() as gateway:
        sent = POST + b"Connection: Upgrade, close\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab"

        assert (await gateway.exchange(sent)).endswith(b"ok")
    ((headers, body),) = gateway.seen
    assert (b"upgrade" in headers, body) == (False, b"ab")


@pytest.mark.anyio
@pytest.mark.parametrize("apart", [False, True])
async def test_a_second_request_before_the_answer_is_never_seen(apart: bool):  # noqa: FBT001 - pytest passes it by name
    request = POST + b"Content-Length: 2\r\n\r\nab"
    async with serving() as gateway:
        gateway.hold.clear()
        received = await gateway.exchange(*([request, request] if apart else [request + request]))

    assert received.count(b"HTTP/1.1 200") == 1
    assert len(gateway.seen) == 1
