"""One request as the server sees it: its body goes to the application, and the application's answer to the wire.

It does what uvicorn's own does, with less: an answer's head waits for its first piece, so that a whole answer is one
write; whoever answers is told of the caller's leaving by a call, so that no task has to wait for it; HTTP/1.0 gets no
chunks; an application that fails is answered in OpenAI's envelope.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from gateway.errors import ApiError
from gateway.proxy.caller import WATCH
from gateway.proxy.entry import new_request_id
from gateway.proxy.refusal import refusal

_JOINED_BYTES = 64 * 1024
"""Up to here a copy is cheaper than a second system call."""
_BODILESS = frozenset({204, 304})


class WrongAnswerError(RuntimeError):
    """The application answers what cannot be sent."""


class Cycle(RequestResponseCycle):
    """One request and its answer, on a connection that outlives both."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        scope: dict[str, Any] = given["scope"]
        scope["extensions"] = {WATCH: self.watch}
        self._on_gone: Callable[[], None] | None = None
        self._head = b""
        self._left_bytes: int | None = None
        self._is_chunked = False

    def watch(self, on_gone: Callable[[], None] | None) -> None:
        """Call `on_gone` once when the caller leaves before the answer is whole, now if it has left; None: never."""
        self._on_gone = on_gone
        if self.disconnected:
            self.gone()

    def gone(self) -> None:
        """Tell whoever watches that the caller has left."""
        if self._on_gone is not None:
            on_gone, self._on_gone = self._on_gone, None
            on_gone()

    async def send(self, message: Any) -> None:
        """Take the answer's head, then its pieces; an empty piece lets the head go at once.

        Returns when there is room for more; what a caller does not take who has left is dropped.

        Raises:
            WrongAnswerError: more or less than the length that was declared, a line end in a header, or after the end.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete:
            given = f"{message['type']} after the end"
            raise WrongAnswerError(given)
        if self.response_started:
            self._pass(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            self._start(message)

    def _start(self, message: Mapping[str, Any]) -> None:
        """Make the head ready; it is written with the first piece."""
        status = message["status"]
        parts = [STATUS_LINE[status]]
        length: int | None = None
        for name, value in (*self.default_headers, *message["headers"]):
            if name == b"connection":
                self.keep_alive = self.keep_alive and value != b"close"
                continue
            if b"\n" in value or b"\r" in value:
                given = f"the header {name!r} holds a line end"
                raise WrongAnswerError(given)
            parts += (name, b": ", value, b"\r\n")
            if name == b"content-length":
                length = int(value)
        if length is None and status not in _BODILESS and self.scope["method"] != "HEAD":
            self._is_chunked = self.scope["http_version"] != "1.0"
            self.keep_alive = self.keep_alive and self._is_chunked
        self._left_bytes = length
        if self._is_chunked:
            parts.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        self._head = b"".join(parts)
        self.response_started = True
        self.waiting_for_100_continue = False

    def _pass(self, body: bytes, *, is_last: bool) -> None:
        piece = b"" if self.scope["method"] == "HEAD" else self._framed(body, is_last=is_last)
        head, self._head = self._head, b""
        if head and len(piece) > _JOINED_BYTES:
            self.transport.write(head)
            head = b""
        if head or piece:
            self.transport.write(head + piece)
        if is_last:
            self._end()

    def _framed(self, body: bytes, *, is_last: bool) -> bytes:
        if self._is_chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return framed + b"0\r\n\r\n" if is_last else framed
        if self._left_bytes is not None:
            self._left_bytes -= len(body)
            if self._left_bytes < 0 or (is_last and self._left_bytes):
                given = "the answer has another length than was declared"
                raise WrongAnswerError(given)
        return body

    def _end(self) -> None:
        self.response_complete = True
        self._on_gone = None
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    async def send_500_response(self) -> None:
        """Answer for an application that failed before it answered."""
        error = ApiError("The gateway failed at this request; its log says why.")
        self.keep_alive = False
        self.response_started = True
        self.transport.write(refusal(error, new_request_id(time.time_ns() // 1000)))
        self._end()
