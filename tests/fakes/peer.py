"""One connection of a scripted upstream: what its script can read, send, and do to it; what it has seen."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

_END_OF_HEAD = b"\r\n\r\n"


def head(*headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer's head."""
    return b"\r\n".join((b"HTTP/1.1 " + status, *headers, b"", b""))


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, byte for byte; `lines` are its head's lines, `body` what followed, with chunks put together."""

    head: bytes
    body: bytes

    @property
    def lines(self) -> list[str]:
        return self.head.decode("latin-1").split("\r\n")

    @property
    def target(self) -> str:
        return self.lines[0].split(" ")[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        pairs = (line.partition(":") for line in self.lines[1:])
        return [(name.lower(), value.strip()) for name, _, value in pairs]


class PeerGoneError(Exception):
    """The other side closed while the script wanted more; ends the script."""


class Gate:
    """Closed until the test opens it, or the script does; usable from every thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def opened(self) -> None:
        await self._event.wait()


class Peer(asyncio.Protocol):
    """One connection as its script sees it. Moments are `time.monotonic()`."""

    def __init__(self, started: Callable[[Peer], None]) -> None:
        self._started = started
        self._changed = asyncio.Event()
        self._unread = bytearray()
        self._transport: asyncio.Transport | None = None
        self.received_bytes = 0
        self.requests: list[Request] = []
        self.opened_at = 0.0
        self.closed_at: float | None = None
        self.was_reset = False
        """Whether the other side reset the connection instead of closing it."""

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.opened_at = time.monotonic()
        self._started(self)

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self._unread += data
        self._changed.set()

    def eof_received(self) -> bool:
        self._note_close()
        return self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self.was_reset = isinstance(exc, ConnectionError)
        self._note_close()

    def _note_close(self) -> None:
        if self.closed_at is None:
            self.closed_at = time.monotonic()
        self._changed.set()

    async def _more(self) -> None:
        if self.closed_at is not None:
            raise PeerGoneError
        self._changed.clear()
        await self._changed.wait()

    async def until(self, mark: bytes) -> bytes:
        """Read up to a mark, which is left out."""
        while (at := self._unread.find(mark)) < 0:
            await self._more()
        taken = bytes(self._unread[:at])
        del self._unread[: at + len(mark)]
        return taken

    async def exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            await self._more()
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    async def read_head(self) -> Request:
        """Read a request's head and leave its body where it is."""
        return Request(head=await self.until(_END_OF_HEAD), body=b"")

    async def read(self) -> Request:
        """Read one whole request and keep it."""
        return await self.read_rest((await self.read_head()).head)

    async def read_rest(self, head: bytes) -> Request:
        """Read the body that belongs to a head, and keep the request."""
        headers = dict(Request(head=head, body=b"").headers)
        if headers.get("transfer-encoding") == "chunked":
            body = await self._chunked()
        else:
            body = await self.exactly(int(headers.get("content-length", "0")))
        request = Request(head=head, body=body)
        self.requests.append(request)
        return request

    async def _chunked(self) -> bytes:
        body = b""
        while size := int(await self.until(b"\r\n"), 16):
            body += (await self.exactly(size + 2))[:-2]
        await self.until(b"\r\n")
        return body

    async def send(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        """Send pieces one by one, each followed by a pause."""
        for piece in pieces:
            if self.transport.is_closing():
                raise PeerGoneError
            self.transport.write(piece)
            await asyncio.sleep(pause_s)

    async def answer(self, body: bytes = b"", *headers: bytes, status: bytes = b"200 OK") -> None:
        """Send a whole answer with its length."""
        await self.send(head(b"content-length: %d" % len(body), *headers, status=status) + body)

    async def gone(self) -> None:
        """Wait until the other side closes: a stall."""
        with contextlib.suppress(PeerGoneError):
            while True:
                await self._more()

    def stop_reading(self) -> None:
        """Take nothing more from the socket, so that the other side's writes fill up."""
        self.transport.pause_reading()

    def start_reading(self) -> None:
        self.transport.resume_reading()

    def half_close(self) -> None:
        """End what this side sends, and go on reading."""
        self.transport.write_eof()

    def close(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        """Drop the connection with a reset instead of an end."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
