"""One connection to a model server: a request goes out, and its answer comes in, one at a time.

Law: an answer that ends otherwise than by its last byte takes its connection with it; a connection on which anything
came unasked is never used again. Bounds of heads, trailers and framing keep a server from filling the worker.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import cast

import httptools

from gateway.proxy.answer import RunningAnswer
from gateway.proxy.sending import Sending
from gateway.proxy.upstream import BrokenFault, Clock, Header, Source

_MAX_HEADERS = 128
_MAX_HEAD_BYTES = 32 * 1024
_OVERHEAD_BYTES = 64 * 1024
_OVERHEAD_TIMES = 8
"""What framing may add to a body: a chunk of one byte comes with five more."""
_JOINED_BYTES = 64 * 1024
"""Up to here a copy is cheaper than a second system call."""
_BODILESS = frozenset({204, 304})


class _BreachError(Exception):
    """The server's bytes are no answer that can be relayed."""


class Connection(asyncio.Protocol):
    """One connection; one answer at a time. `is_open` until it ends; `kept_at` is when it was last given back."""

    def __init__(self, give_back: Callable[[Connection], None], forget: Callable[[Connection], None]) -> None:
        self.is_open = False
        self.kept_at = 0.0
        self._give_back = give_back
        self._forget = forget
        self._transport: asyncio.Transport | None = None
        self._arrivals: select.poll | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: RunningAnswer | None = None
        self._sending: Sending | None = None
        self._method = ""
        self._headers: list[Header] = []
        self._head_bytes = 0
        self._overhead_bytes = 0
        self._has_head = False
        self._ends_by_close = False
        self._stays = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be open."""
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True
        if (socket := transport.get_extra_info("socket")) is not None:
            self._arrivals = select.poll()
            self._arrivals.register(socket.fileno(), select.POLLIN)

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing has come that nobody asked for, the server's end of the connection above all.

        It is asked before a request is written, since the event loop may not have seen it yet.
        """
        return self._arrivals is None or not self._arrivals.poll(0)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        """Break what still runs."""
        self.is_open = False
        self._forget(self)
        self._break("connection_lost")

    def pause_writing(self) -> None:
        """Let a body wait until the server has taken what it was sent."""
        if self._sending is not None:
            self._sending.pause()

    def resume_writing(self) -> None:
        """Send on."""
        if self._sending is not None:
            self._sending.go_on()

    def send(self, method: str, head: bytes, body: bytes | Source, clock: Clock) -> RunningAnswer:
        """Send a request, and return its answer to come."""
        answer = RunningAnswer(self, clock)
        self._answer, self._method = answer, method
        self._expect_head()
        transport = cast("asyncio.Transport", self._transport)
        if not isinstance(body, bytes):
            transport.write(head)
            self._sending = Sending(transport, body, answer, clock)
        elif len(body) <= _JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)
        return answer

    def go_on(self) -> None:
        """Read again."""
        if self.is_open and self._transport is not None:
            self._transport.resume_reading()

    def abort(self) -> None:
        """End at once; what was not sent yet is dropped."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()
        self._break("connection_lost")

    def data_received(self, data: bytes) -> None:
        """Take bytes; without a request they are nobody's, and end the connection."""
        answer = self._answer
        if answer is None:
            return self.abort()
        self._overhead_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break("broken_http")
            return self.abort()
        if self._overhead_bytes > (_OVERHEAD_BYTES if self._has_head else _MAX_HEAD_BYTES):
            self._break("broken_http")
            return self.abort()
        if self._has_head and self._answer is not None and self._method == "HEAD":
            self._parser = httptools.HttpResponseParser(self)
            self._complete()
        return answer.wake()

    def eof_received(self) -> None:
        """Take the end: of an answer that has no other, or of the connection."""
        if self._answer is not None and self._ends_by_close:
            self._stays = False
            answer = self._answer
            self._complete()
            answer.wake()

    def on_message_begin(self) -> None:
        """Refuse a second answer to one request."""
        if self._answer is None:
            raise _BreachError

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are counted and dropped."""
        self._head_bytes += len(name) + len(value)
        self._headers.append((name.lower(), value))
        if len(self._headers) > _MAX_HEADERS or self._head_bytes > _MAX_HEAD_BYTES:
            raise _BreachError

    def on_status(self, status: bytes) -> None:
        """Count the reason in."""
        self._head_bytes += len(status)
        if self._head_bytes > _MAX_HEAD_BYTES:
            raise _BreachError

    def on_headers_complete(self) -> None:
        """Hand the head on, unless it only announces another one."""
        status = self._parser.get_status_code()
        headers = self._headers
        self._headers, self._head_bytes, self._overhead_bytes = [], 0, 0
        if not status >= 100:
            raise _BreachError
        if status < 200:
            return
        framed, codings, self._stays = False, b"", self._parser.get_http_version() == "1.1"
        for name, value in headers:
            if name == b"content-length":
                framed = True
            elif name == b"transfer-encoding":
                codings = value
            elif name == b"connection" and b"close" in value.lower():
                self._stays = False
        framed = framed or codings.lower().endswith(b"chunked") or status in _BODILESS
        self._ends_by_close = not framed
        self._has_head = True
        if self._answer is not None:
            self._answer.begin(status, headers)
        if self._sending is not None and status >= 400:
            self._sending.stop()

    def on_body(self, body: bytes) -> None:
        """Hand a piece on."""
        self._overhead_bytes = max(0, self._overhead_bytes - _OVERHEAD_TIMES * len(body))
        if self._answer is not None and not self._answer.add(body) and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """End the answer; what announced another one is forgotten."""
        if self._has_head:
            self._complete()
        self._expect_head()

    def _expect_head(self) -> None:
        self._headers, self._head_bytes, self._overhead_bytes = [], 0, 0
        self._has_head = self._ends_by_close = False

    def _complete(self) -> None:
        """End the answer; keep the connection if nothing of it is left on either side."""
        answer, self._answer = self._answer, None
        transport = self._transport
        if answer is None or transport is None:
            return
        answer.end()
        is_sent = (self._sending is None or self._sending.is_whole) and not transport.get_write_buffer_size()
        if is_sent and self._stays and self.is_open and not transport.is_closing():
            self._sending = None
            transport.resume_reading()
            self._give_back(self)
        else:
            self.abort()

    def _break(self, kind: str) -> None:
        if self._sending is not None:
            self._sending.stop()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.fail(BrokenFault(kind))
