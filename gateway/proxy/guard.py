"""The worker's HTTP protocol: what may become a request, and for how long a connection may take.

The law: whatever arrives is answered in OpenAI's envelope with `connection: close`, or becomes exactly one request; the
application never sees a second request before the first is answered. One round over all connections watches the time,
so that a request pays for no timer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httptools

from gateway.errors import ApiError, RequestTimeoutError, ShedError
from gateway.proxy.drain import DrainingProtocol
from gateway.proxy.entry import new_request_id
from gateway.proxy.head import END, authority, head_fault, leading, malformed, unfinished_fault, without_upgrade
from gateway.proxy.refusal import parsers_words, refusal
from gateway.proxy.rounds import Guard, Stage

_OVERHEAD_BYTES = 64 * 1024
_OVERHEAD_TIMES = 8
"""What chunk sizes, extensions and trailers may add to a body: chunks of one byte come with five more."""
_WATCHED = frozenset({b"host", b"transfer-encoding", b"expect"})
_UNASKED = frozenset({b"/healthz", b"/readyz"})


class _NextRequestError(Exception):
    """A second request lies behind the first."""


class GuardedProtocol(DrainingProtocol):
    """One connection."""

    def __init__(self, guard: Guard, **given: Any) -> None:
        super().__init__(**given)
        self._guard = guard
        self._stage = Stage.HEAD
        self._due: float | None = None
        self._held = bytearray()
        self._arrived_bytes = 0
        self._overhead_bytes = 0
        self._body_bytes = 0
        self._is_followed = False
        self._unsent_bytes = 0
        self._stalled_at: float | None = None
        self._hosts: list[bytes] = []
        self._coding: bytes | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        """Begin to be watched."""
        super().connection_made(transport)
        if not self._guard.admit(self):
            self._refuse(ShedError("The gateway has as many connections as it may; try again in a moment."))

    def connection_lost(self, exc: Exception | None) -> None:
        """Be watched no longer."""
        self._guard.connections.pop(self, None)
        self._enter(Stage.CLOSING)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, by the stage in which the connection is."""
        if self._stage is Stage.BODY:
            self._arrived_bytes += len(data)
            self._overhead_bytes += len(data)
            before = self._body_bytes
            self._feed(data)
            if self._is_followed:
                self._go_on(data, before)
            if self._overhead_bytes > _OVERHEAD_BYTES:
                self._refuse(malformed("its chunks carry more framing than content"))
        elif self._stage is Stage.ANSWER:
            if data.strip(b"\r\n"):
                self.cycle.keep_alive = False
        elif self._stage is not Stage.CLOSING:
            self._take_head(data)

    def _take_head(self, received: bytes) -> None:
        if self._stage is Stage.IDLE:
            self._enter(Stage.HEAD)
        if not self._held:
            if not b"A" <= received[:1] <= b"Z":
                begun = leading(received)
                if begun is None:
                    return self._refuse(malformed("it does not begin with a method"))
                received = begun
            if (end := received.find(END)) >= 0:
                return self._begin(received, end + len(END))
        return self._hold(received)

    def _hold(self, received: bytes) -> None:
        """Keep the beginning of a head until its rest has come."""
        before = len(self._held)
        self._held += received
        end = self._held.find(END, max(0, before - 3)) if b"\n" in received else -1
        if end >= 0:
            whole = bytes(self._held)
            self._held.clear()
            self._begin(whole, end + len(END))
        elif (fault := unfinished_fault(self._held, self._guard.limits)) is not None:
            self._refuse(fault)

    def _begin(self, received: bytes, end: int) -> None:
        if (fault := head_fault(received, end, self._guard.limits)) is not None:
            return self._refuse(fault)
        self._overhead_bytes = self._body_bytes = 0
        return self._feed(received)

    def _go_on(self, received: bytes, before: int) -> None:
        """Take the request that came together with the end of a body whose answer was given before it had come.

        Where that body ended is known by its length; the caller of a chunked one finds its connection closed.
        """
        self._is_followed = False
        if self._coding is not None:
            return self._end()
        self.parser = httptools.HttpRequestParser(self)
        return self._take_head(received[self._body_bytes - before :])

    def _feed(self, received: bytes) -> None:
        try:
            self.parser.feed_data(received)
        except httptools.HttpParserUpgrade:
            self.parser = httptools.HttpRequestParser(self)
            self._feed(without_upgrade(received))
        except httptools.HttpParserError as error:
            self._broken(error)

    def _broken(self, error: httptools.HttpParserError) -> None:
        """End what the parser, or a callback of it, refused; `reason` is what the callback raised."""
        reason = error.__context__
        if self._stage is Stage.ANSWER:
            self.cycle.keep_alive = False
        elif isinstance(reason, _NextRequestError):
            self._is_followed = True
        elif isinstance(reason, ApiError):
            self._refuse(reason)
        elif reason is None or isinstance(reason, httptools.HttpParserError):
            self._refuse(malformed(parsers_words(error)))
        else:
            raise reason

    def on_message_begin(self) -> None:
        """Begin a request; a second one in the same bytes is none."""
        if self._stage is not Stage.HEAD:
            raise _NextRequestError
        self._hosts = []
        self._coding = None
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers, which come after the head was judged, are dropped."""
        if self._stage is not Stage.HEAD:
            return
        name = name.lower()
        self.headers.append((name, value))
        if name in _WATCHED:
            if name == b"host":
                self._hosts.append(value)
            elif name == b"expect":
                self.expect_100_continue = value.lower() == b"100-continue"
            else:
                self._coding = value.lower() if self._coding is None else b"repeated"

    def on_headers_complete(self) -> None:
        """Judge what the parser found, then start the application; an upgrade is read again without its wish."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return
        fault = self._target_fault() or self._host_fault() or self._coding_fault()
        if fault is not None:
            raise fault
        super().on_headers_complete()
        self._enter(Stage.BODY)

    def _target_fault(self) -> ApiError | None:
        if self.url[:1] == b"/" and self.parser.get_method() != b"CONNECT":
            return None
        named = authority(self.url)
        if named is None or not self._guard.hosts.allow(named, self._address()):
            return malformed("its target is neither a path nor a URL of this server", "invalid_target")
        return None

    def _host_fault(self) -> ApiError | None:
        fault = self._guard.hosts.fault(self._hosts, self._address())
        return fault if fault is not None and self.url.partition(b"?")[0] not in _UNASKED else None

    def _coding_fault(self) -> ApiError | None:
        if self._coding is None or (self._coding == b"chunked" and self.parser.get_http_version() == "1.1"):
            return None
        return malformed("the only transfer-encoding is chunked, once, in HTTP/1.1")

    def _address(self) -> str:
        return self.server[0] if self.server else ""

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        self._body_bytes += len(body)
        self._overhead_bytes = max(0, self._overhead_bytes - _OVERHEAD_TIMES * len(body))
        if self._stage is Stage.BODY:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the answer, or for the next request when it was given before."""
        if self._stage is Stage.BODY:
            super().on_message_complete()
            self._enter(Stage.IDLE if self.cycle.response_complete else Stage.ANSWER)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self._stage is Stage.ANSWER:
                self._enter(Stage.IDLE)

    def resume_writing(self) -> None:
        """Note that the caller takes what it is sent."""
        self._stalled_at = None
        super().resume_writing()

    def shutdown(self) -> None:
        """End when idle, else after the answer."""
        if self._stage is Stage.CLOSING:
            self.transport.close()
        else:
            super().shutdown()

    def await_request(self) -> None:
        """Leave a silent connection to the rounds, drain or not."""

    def make_way(self) -> bool:
        """End, unless a request is under way."""
        if self._stage is not Stage.HEAD and self._stage is not Stage.IDLE:
            return False
        self._guard.ended["made_way"] += 1
        self._enter(Stage.CLOSING)
        self.transport.abort()
        return True

    def look(self, now: float) -> None:
        """End what takes too long; called about once a second with a monotonic time."""
        self._look_for_stall(now)
        if self._due is None:
            allowed_s = self._guard.allowed_s[self._stage]
            self._due = None if allowed_s is None else now + allowed_s
            self._arrived_bytes = 0
        elif now >= self._due:
            self._overdue()

    def _look_for_stall(self, now: float) -> None:
        """Abort when nothing was taken of what waits to be sent, and nothing can have been added to it."""
        unsent_bytes = self.transport.get_write_buffer_size()
        may_grow = self._stage in {Stage.BODY, Stage.ANSWER} and not self.flow.write_paused
        if not unsent_bytes or unsent_bytes < self._unsent_bytes or (may_grow and not self.transport.is_closing()):
            self._stalled_at = None
        elif self._stalled_at is None:
            self._stalled_at = now + self._guard.limits.write_timeout_s
        elif now >= self._stalled_at:
            self._guard.ended["write_stall"] += 1
            self.transport.abort()
        self._unsent_bytes = unsent_bytes

    def _overdue(self) -> None:
        limits = self._guard.limits
        if self._stage is Stage.HEAD:
            self._refuse(RequestTimeoutError(f"The request's head did not arrive within {limits.head_timeout_s:g} s."))
        elif self._stage is not Stage.BODY:
            self._end()
        elif self._arrived_bytes >= limits.body_timeout_s * limits.min_body_bytes_per_s or self.flow.read_paused:
            self._due = None
        else:
            rate = f"{limits.min_body_bytes_per_s:,} bytes per second over {limits.body_timeout_s:g} s"
            self._refuse(RequestTimeoutError(f"The request's body arrived slower than {rate}."))

    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        self._due = None

    def _refuse(self, error: ApiError) -> None:
        """Answer and close; a request whose body breaks is cancelled, and ends silently if its answer has begun."""
        self._guard.ended[error.code or error.type] += 1
        begun = self.cycle if self._stage is Stage.BODY else None
        if begun is not None and begun.response_started:
            self.transport.abort()
            return
        if begun is not None:
            begun.disconnected = True
            begun.message_event.set()
        self._enter(Stage.CLOSING)
        self._held.clear()
        self.flow.resume_reading()
        self.transport.write(refusal(error, new_request_id(time.time_ns() // 1000)))
        self.transport.write_eof()

    def _end(self) -> None:
        self._enter(Stage.CLOSING)
        self.transport.close()
