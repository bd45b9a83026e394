"""What stands at the console's port while its ledger cannot be used: every request is answered with 503 and the reason.

Without it the listening socket would take connections that nobody answers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

import uvicorn
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.console.errors import UnavailableError
from gateway.errors import ApiError

RETRY_S = 2.0
_GRACE_S = 1


def stand_by(
    listener: socket.socket, error: ApiError | str, is_mended: Callable[[], bool], retry_s: float = RETRY_S
) -> None:
    """Answer for the console until `is_mended`, asked in a thread of its own, or until SIGTERM or SIGINT."""
    refusal = error if isinstance(error, ApiError) else UnavailableError(error)
    config = uvicorn.Config(
        cast("Any", _refusing(refusal)),
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    asyncio.run(_serve(uvicorn.Server(config), listener.dup(), is_mended, retry_s))


async def _serve(
    server: uvicorn.Server, listener: socket.socket, is_mended: Callable[[], bool], retry_s: float
) -> None:
    async def end_when_mended() -> None:
        while not server.should_exit:
            await asyncio.sleep(retry_s)
            server.should_exit = await asyncio.to_thread(is_mended) or server.should_exit

    watching = asyncio.create_task(end_when_mended(), name="watch-ledger")
    try:
        await server.serve(sockets=[listener])
    finally:
        watching.cancel()


def _refusing(error: ApiError) -> ASGIApp:
    body = error.envelope()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    start: Mapping[str, Any] = {"type": "http.response.start", "status": error.status, "headers": headers}
    rest: Mapping[str, Any] = {"type": "http.response.body", "body": body, "more_body": False}

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send(cast("Any", start))
        await send(cast("Any", rest))

    return refuse
