"""The caller's side of one request: its head, its body within limits, its disconnect, and what it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.errors import ApiError, ShedError, TooLargeError, UnsupportedError
from gateway.proxy.limits import Room

Header = tuple[bytes, bytes]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Message], Awaitable[None]]
"""ASGI 3, as a server calls an application."""
WATCH = "turnout.watch"
"""The ASGI extension by which the server tells of a disconnect: it takes what to call then, or None.

To wait for it in `receive` would cost every request a task."""


class GoneError(Exception):
    """The caller closed the connection before its request was whole."""


class Connection:
    """One request's connection: read the body once, answer once; `gone` tells that the caller has left."""

    __slots__ = (
        "_head",
        "_receive",
        "_scope",
        "_send",
        "_watches",
        "buffered_bytes",
        "gone",
        "headers",
        "on_start",
        "repeated",
        "started",
        "status",
    )

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._head: tuple[int, Sequence[Header]] | None = None
        self._watches = False
        sent: Sequence[Header] = scope["headers"]
        self.headers: Mapping[bytes, bytes] = dict(sent)
        self.repeated: frozenset[bytes] = frozenset()
        if len(self.headers) != len(sent):
            self.headers, self.repeated = _combined(sent)
        self.buffered_bytes = 0
        self.gone = False
        self.on_start: Callable[[], None] | None = None
        """Called when the answer's head goes out: from then on nobody else can answer."""
        self.started = False
        self.status: int | None = None

    def tap(self, receiving: Callable[[Receive], Receive], sending: Callable[[Send], Send]) -> None:
        """Let somebody see what comes from now on, and what is sent."""
        self._receive, self._send = receiving(self._receive), sending(self._send)

    @property
    def method(self) -> str:
        """Return the HTTP method."""
        return self._scope["method"]

    @property
    def path(self) -> str:
        """Return the path as it was sent, nothing decoded."""
        return self._scope["raw_path"].decode("ascii", "replace")

    @property
    def query(self) -> bytes:
        """Return the query as it was sent, without its question mark."""
        return self._scope["query_string"]

    async def body(self, limit_bytes: int, room: Room) -> bytes:
        """Return the whole body, counted into `room`; whoever calls gives `buffered_bytes` back to it.

        Raises:
            TooLargeError: it is, or says that it will be, over the limit.
            UnsupportedError: it is compressed.
            ShedError: there is no room for it now.
            GoneError: the caller left while sending.
        """
        self.declared_bytes(limit_bytes)
        pieces: list[bytes] = []
        size_bytes = 0
        while True:
            piece, more = await self.piece()
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                raise too_large(limit_bytes)
            self.hold(len(piece), room)
            pieces.append(piece)
            if not more:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def declared_bytes(self, limit_bytes: int) -> int | None:
        """Return the length of the body as its head says; None when only its end will tell.

        Raises:
            TooLargeError: it says that it will be over the limit.
            UnsupportedError: the body is compressed.
        """
        if self.headers.get(b"content-encoding", b"identity") != b"identity":
            message = "Compressed request bodies are not accepted; send the body without content-encoding."
            raise UnsupportedError(message)
        declared = self.headers.get(b"content-length")
        if declared is None:
            return None if b"transfer-encoding" in self.headers else 0
        if len(declared) > len(str(limit_bytes)) or int(declared) > limit_bytes:
            raise too_large(limit_bytes)
        return int(declared)

    async def piece(self) -> tuple[bytes, bool]:
        """Return the next bytes of the body, and whether there may be more; raises `GoneError`."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            raise GoneError
        return message["body"], message["more_body"]

    def hold(self, size_bytes: int, room: Room) -> None:
        """Count bytes of the body that are kept; raises `ShedError`."""
        if not room.take(size_bytes):
            message = "The gateway holds as many bytes of requests as it may; try again in a moment."
            raise ShedError(message, error_class="buffers_full")
        self.buffered_bytes += size_bytes

    def let_go(self, size_bytes: int, room: Room) -> None:
        """Count out what was sent on."""
        self.buffered_bytes -= size_bytes
        room.give_back(size_bytes)

    def watch(self) -> None:
        """Cancel the running task as soon as the caller closes the connection; to be called after `body`."""
        answering = asyncio.current_task()
        if answering is not None:
            self._watches = True
            self._scope["extensions"][WATCH](partial(self._leave, answering))

    def unwatch(self) -> None:
        """Stop watching."""
        if self._watches:
            self._watches = False
            self._scope["extensions"][WATCH](None)

    def _leave(self, answering: asyncio.Task[Any]) -> None:
        self.gone = True
        answering.cancel()

    async def start(self, status: int, headers: Sequence[Header]) -> None:
        """Send the answer's head; it leaves with the first piece of the body, be it an empty one."""
        self._head = None
        self.started = True
        self.status = status
        if self.on_start is not None:
            self.on_start()
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    def prepare(self, status: int, headers: Sequence[Header]) -> None:
        """Keep the answer's head until there is something to write behind it; until then it can still be refused."""
        self._head = (status, headers)

    async def write(self, piece: bytes) -> None:
        """Send a piece of the body, more to come; the first one takes the head that was prepared with it."""
        if self._head is not None:
            await self.start(*self._head)
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def finish(self, piece: bytes = b"") -> None:
        """Send the last piece of the body."""
        self.unwatch()
        await self._send({"type": "http.response.body", "body": piece, "more_body": False})

    async def refuse(self, error: ApiError, headers: Sequence[Header]) -> None:
        """Answer with an error's envelope, whatever was prepared."""
        self.unwatch()
        body = error.envelope()
        plain = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)))
        await self.start(error.status, [*plain, *error.headers, *headers])
        await self.finish(body)


def _combined(sent: Sequence[Header]) -> tuple[Mapping[bytes, bytes], frozenset[bytes]]:
    """Join the lines of repeated headers in their order (RFC 9110, section 5.3), and name those headers."""
    lines: dict[bytes, list[bytes]] = {}
    for name, value in sent:
        lines.setdefault(name, []).append(value)
    joined = {name: b", ".join(values) for name, values in lines.items()}
    return joined, frozenset(name for name, values in lines.items() if len(values) > 1)


def too_large(limit_bytes: int) -> ApiError:
    """Return the refusal of a body over the limit."""
    return TooLargeError(f"The body is larger than {limit_bytes:,} bytes, which is this gateway's limit.")
