"""A caller's body on its way to the upstream: as it comes, or with the form's model in it replaced.

Law: what is passed on while it comes is never kept, and what has to be kept is counted into the worker's room. A body
that is broken, too long or cut off raises before its last byte, so that no upstream can take it for whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from gateway.errors import BadRequestError, TooLargeError
from gateway.proxy.caller import Connection, too_large
from gateway.proxy.form import Form
from gateway.proxy.limits import Room


class Incoming:
    """A caller's body, as a `Source`; `is_over` with its last piece.

    Raises:
        UnsupportedError, TooLargeError: as `Connection.declared_bytes`; chunks may turn out too long later.
    """

    __slots__ = ("_connection", "_left_bytes", "_limit_bytes", "is_over", "size_bytes")

    def __init__(self, connection: Connection, limit_bytes: int) -> None:
        self.size_bytes = connection.declared_bytes(limit_bytes)
        self._connection = connection
        self._limit_bytes = limit_bytes
        self._left_bytes = limit_bytes if self.size_bytes is None else self.size_bytes
        self.is_over = self.size_bytes == 0

    async def piece(self) -> bytes:
        """See `Source`; raises `GoneError` when the caller leaves before its body is whole."""
        while not self.is_over:
            piece, more = await self._connection.piece()
            self._left_bytes -= len(piece)
            if self._left_bytes < 0:
                raise too_large(self._limit_bytes)
            self.is_over = not more or (self.size_bytes is not None and not self._left_bytes)
            if piece:
                return piece
        return b""


class FormBody:
    """A form on its way, as a `Source`: read until it is decided where it goes, then checked while it passes."""

    __slots__ = ("_connection", "_held", "_incoming", "_room", "form", "size_bytes")

    def __init__(self, connection: Connection, limit_bytes: int, room: Room) -> None:
        self.form = Form(connection.headers.get(b"content-type", b""))
        self._connection = connection
        self._incoming = Incoming(connection, limit_bytes)
        self._room = room
        self._held: deque[bytes] = deque()
        self.size_bytes = self._incoming.size_bytes

    async def read(self, is_decided: Callable[[Form], bool]) -> None:
        """Read and keep until it is decided where the form goes, or to its end.

        Raises:
            BadRequestError: it is no form that can be read in one way alone.
            TooLargeError: it is over the limit, or more than this worker may hold would have to be kept.
            ShedError: there is no room for it now.
            GoneError: the caller left.
        """
        kept_bytes = 0
        while not is_decided(self.form) and (piece := await self._next()):
            kept_bytes += len(piece)
            if kept_bytes > self._room.limit_bytes:
                message = f"The form's model and user come after {self._room.limit_bytes:,} bytes; send them first."
                raise TooLargeError(message)
            self._connection.hold(len(piece), self._room)
            self._held.append(piece)

    def name(self, model: str) -> None:
        """Put this model's name where the caller's stands."""
        start, end = self.form.model_at
        named = model.encode()
        if self.size_bytes is not None:
            self.size_bytes += len(named) - (end - start)
        kept_bytes = sum(map(len, self._held))
        self._held = deque(spliced(self._held, start, end, named))
        self._connection.buffered_bytes += sum(map(len, self._held)) - kept_bytes
        self._room.held_bytes += sum(map(len, self._held)) - kept_bytes

    async def piece(self) -> bytes:
        """See `Source`; raises as `read`."""
        if self._held:
            piece = self._held.popleft()
            self._connection.let_go(len(piece), self._room)
            return piece
        return await self._next()

    async def _next(self) -> bytes:
        piece = await self._incoming.piece()
        if piece:
            self.form.feed(piece)
        if self._incoming.is_over:
            self.form.end()
        return piece


def spliced(pieces: Iterable[bytes], start: int, end: int, inserted: bytes) -> Iterator[bytes]:
    """Yield these pieces with what stands from `start` to `end` replaced; none is empty, and none is joined."""
    at = 0
    for piece in pieces:
        before, after = piece[: max(0, start - at)], piece[max(0, end - at) :]
        holds_start = at <= start < at + len(piece)
        changed = before + inserted + after if holds_start else before + after
        at += len(piece)
        if changed:
            yield changed


def late(field: str) -> BadRequestError:
    """Return the refusal of a field that would have decided who serves a form that is on its way already."""
    message = f"The form's field {field!r} comes after the file; send it before the file, it decides who answers."
    return BadRequestError(message, param=field, code="late_field")
