"""The few pieces of ASGI that the simulated server uses: read a body, answer, wait while the caller is there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from gateway.errors import TooLargeError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

MOST_BODY_BYTES = 32 * 1024 * 1024
JSON_TYPE = (b"content-type", b"application/json")


class CallerGoneError(Exception):
    """The caller closed the connection before its answer was complete."""


async def read_body(receive: Receive) -> bytes:
    """Return the whole body.

    Raises:
        CallerGoneError: the caller left in the middle of it.
        TooLargeError: it is larger than `MOST_BODY_BYTES`.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGoneError
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > MOST_BODY_BYTES:
            text = f"The request body is larger than {MOST_BODY_BYTES} bytes; send less."
            raise TooLargeError(text)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def stay(receive: Receive, seconds: float) -> None:
    """Wait so long while the caller is there; the body must have been read.

    Raises:
        CallerGoneError: at once when the caller leaves.
    """
    if seconds <= 0:
        return
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return
    raise CallerGoneError


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send one complete answer."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
