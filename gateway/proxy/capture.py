"""Keep what was asked and answered, for applications that want it: seen on its way, written when the answer is out.

Law: where an application keeps nothing, nothing is held, copied or looked at. What is held is bounded, in each request
and in all of a worker's together; what does not fit is dropped, and counted by the piece.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Protocol

from analytics.content import MAX_BODY_BYTES, Content, Kind, expiry, is_sampled
from analytics.feedback import Feedback
from analytics.record import Record
from gateway.proxy.caller import Connection, Receive, Send
from gateway.proxy.limits import Room
from gateway.proxy.snapshot import Caller

HELD_BYTES = 64 * 1024 * 1024
"""Of content that waits for the end of its request, in each worker."""
_MAX_TYPE_BYTES = 200
_COMMENT_LINE = b": keep-alive\n\n"
"""What the gateway itself writes into silent streams."""


class ContentJournal(Protocol):
    """Where content goes."""

    def append_content(self, content: Content) -> bool:
        """Write one frame now, or tell that it is lost; neither blocks nor raises."""
        ...


class ContentTally(Protocol):
    """What is counted of content."""

    def lost_content(self) -> None:
        """Count one piece of content that is nowhere."""
        ...


class Contents:
    """One worker's content on its way to the journal; it numbers the pieces, so there is one for each journal."""

    def __init__(self, journal: ContentJournal, tally: ContentTally, *, held_bytes: int = HELD_BYTES) -> None:
        self._journal = journal
        self._tally = tally
        self._numbers = itertools.count(1)
        self.room = Room(held_bytes)

    def tap(self, connection: Connection, caller: Caller, request_id: str) -> Tap | None:
        """Look at a request whose body was not read yet, if its application keeps its content."""
        application = caller.application
        if application.content == "none":
            return None
        if application.content == "sampled" and not is_sampled(request_id, application.content_sample):
            return None
        tap = Tap(self, connection.headers, application.content_days)
        connection.tap(tap.receiving, tap.sending)
        return tap

    def comment(self, caller: Caller, said: Feedback, text: str) -> bool:
        """Keep a comment, and tell whether its application wants that."""
        if caller.application.content == "none":
            return False
        body = text.encode()
        content = Content(
            kind="comment",
            seq=self.number(),
            application=said.application,
            captured_at=said.received_at,
            expires_at=expiry(said.received_at, caller.application.content_days),
            body=body,
            size_bytes=len(body),
            request_id=said.request_id,
            response_id=said.response_id,
            feedback_id=said.feedback_id,
            endpoint="feedback",
            content_type="text/plain",
        )
        self.keep(content)
        return True

    def number(self) -> int:
        """Return the next piece's number; a piece that is lost takes one too."""
        return next(self._numbers)

    def keep(self, content: Content) -> None:
        """Write content, or count it as lost."""
        if not self._journal.append_content(content):
            self._tally.lost_content()

    def lose(self, pieces: int) -> None:
        """Count pieces that are dropped."""
        for _ in range(pieces):
            self.number()
            self._tally.lost_content()


class Tap:
    """One request's content; `keep` it once the record is settled, or `drop` it."""

    __slots__ = ("_answer", "_contents", "_days", "_held_bytes", "_is_dropped", "_is_lost", "_request", "_types")

    def __init__(self, contents: Contents, headers: Mapping[bytes, bytes], days: int) -> None:
        self._contents = contents
        self._days = days
        self._request, self._answer = _Body(), _Body()
        self._types = {"request": headers.get(b"content-type"), "answer": None}
        self._held_bytes = 0
        self._is_dropped = self._is_lost = False

    def receiving(self, receive: Receive) -> Receive:
        """Return a `receive` that lets us see the request's body."""

        async def tapped() -> Mapping[str, Any]:
            message = await receive()
            if message["type"] == "http.request":
                self._take(self._request, message["body"])
            return message

        return tapped

    def sending(self, send: Send) -> Send:
        """Return a `send` that lets us see the answer, each message after it was sent."""

        async def tapped(message: dict[str, Any]) -> None:
            await send(message)
            if message["type"] == "http.response.body":
                self._take(self._answer, message["body"])
            else:
                self._types["answer"] = dict(message["headers"]).get(b"content-type")

        return tapped

    def keep(self, record: Record | None) -> None:
        """Write request and answer of a request that was sent to a model; of others nothing is kept."""
        if record is not None and record.attempts:
            if self._is_lost:
                self._contents.lose(2)
            elif not self._is_dropped:
                self._write("request", self._request, record)
                self._write("answer", self._answer, record)
        self.drop()

    def drop(self) -> None:
        """Let go of everything."""
        self._contents.room.give_back(self._held_bytes)
        self._held_bytes = 0
        self._request, self._answer = _Body(), _Body()
        self._is_dropped = True

    def _take(self, body: _Body, piece: bytes) -> None:
        if self._is_dropped or not piece:
            return
        kept_bytes = min(len(piece), MAX_BODY_BYTES - body.held_bytes)
        if kept_bytes and not self._contents.room.take(kept_bytes):
            self._is_lost = True
            self.drop()
            return
        self._held_bytes += kept_bytes
        body.take(piece, kept_bytes)

    def _write(self, kind: Kind, body: _Body, record: Record) -> None:
        whole = b"".join(body.pieces)
        content_type = self._types[kind]
        if kind == "answer" and content_type is not None and content_type.startswith(b"text/event-stream"):
            whole = whole.replace(_COMMENT_LINE, b"")
        content = Content(
            kind=kind,
            seq=self._contents.number(),
            application=record.application or "",
            captured_at=record.started_at,
            expires_at=expiry(record.started_at, self._days),
            body=whole,
            size_bytes=body.size_bytes if body.is_truncated else len(whole),
            is_truncated=body.is_truncated,
            request_id=record.request_id,
            response_id=record.response_id,
            endpoint=record.endpoint,
            content_type=None if content_type is None else content_type[:_MAX_TYPE_BYTES].decode("latin-1"),
            user_hash=record.user_hash,
        )
        self._contents.keep(content)


class _Body:
    """The beginning of a body: pieces of `held_bytes` together, out of `size_bytes`."""

    __slots__ = ("held_bytes", "pieces", "size_bytes")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.held_bytes = self.size_bytes = 0

    @property
    def is_truncated(self) -> bool:
        """Tell whether there was more."""
        return self.size_bytes > self.held_bytes

    def take(self, piece: bytes, kept_bytes: int) -> None:
        """Add the first bytes of a piece."""
        self.size_bytes += len(piece)
        self.held_bytes += kept_bytes
        if kept_bytes:
            self.pieces.append(piece if kept_bytes == len(piece) else piece[:kept_bytes])
