"""A load client on bare asyncio protocols: what wrk cannot do, streams that are counted and a fixed rate."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import cast

from benchmarks.servers import Server

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_EVENT = b"data: "
_STREAM_END = b"\r\n0\r\n\r\n"


@dataclass
class Tally:
    """What all connections of one load have seen."""

    open: int = 0
    events: int = 0
    whole: int = 0
    errors: int = 0
    waits_us: list[float] = field(default_factory=list[float])


class Caller(asyncio.Protocol):
    """One connection that sends `request` and counts what comes back; `again` sends the next when one has ended."""

    def __init__(self, request: bytes, tally: Tally, *, again: bool = False) -> None:
        self._request = request
        self._tally = tally
        self.again = again
        self._kept = b""
        self._sent_at = 0.0
        self._is_stream: bool | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        del exc
        self._transport = None

    def send(self) -> None:
        """Send the request once."""
        if self._transport is None:
            self._tally.errors += 1
            return
        self._kept, self._is_stream, self._sent_at = b"", None, time.perf_counter()
        self._transport.write(self._request)

    def close(self) -> None:
        """Hang up, answer or not."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._is_stream:
            self._stream(data)
            return
        self._kept += data
        end = self._kept.find(b"\r\n\r\n")
        if end < 0:
            return
        if not self._kept.startswith(b"HTTP/1.1 200"):
            self._ended(ok=False)
        elif length := _LENGTH.search(self._kept, 0, end):
            if len(self._kept) >= end + 4 + int(length[1]):
                self._ended(ok=True)
        else:
            self._is_stream, data, self._kept = True, self._kept[end + 2 :], b""
            self._tally.open += 1
            self._stream(data)

    def _stream(self, data: bytes) -> None:
        """Count events, cut ones too: what may be the start of one, or of the end, is looked at again."""
        self._tally.events += (self._kept + data).count(_EVENT) - self._kept.count(_EVENT)
        self._kept = (self._kept + data)[-len(_STREAM_END) :]
        if self._kept == _STREAM_END:
            self._tally.open -= 1
            self._ended(ok=True)

    def _ended(self, *, ok: bool) -> None:
        self._tally.whole += ok
        self._tally.errors += not ok
        self._tally.waits_us.append((time.perf_counter() - self._sent_at) * 1e6)
        if self.again:
            self.send()


async def connected(server: Server, request: bytes, tally: Tally, *, again: bool = False) -> Caller:
    """Open one connection to a server."""
    loop = asyncio.get_running_loop()
    host, _, port = server.url.removeprefix("http://").partition(":")
    _, caller = await loop.create_connection(lambda: Caller(request, tally, again=again), host, int(port))
    return caller


def chat(server: Server, *, user: int, query: str = "") -> bytes:
    """Return a request of 16 messages and about 4 KB, streamed if it has a query."""
    text = "The quick brown fox jumps over the lazy dog. " * 5
    messages = [{"role": "assistant" if turn % 2 else "user", "content": text} for turn in range(16)]
    asked = {"model": "sales-companion", "user": f"user-{user}", "messages": messages}
    if query:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps(asked, separators=(",", ":")).encode()
    head = (
        f"POST /v1/chat/completions{query} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {server.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
