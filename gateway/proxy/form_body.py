"""A form on its way to the upstream: read until it is decided who serves it, and checked while the rest passes.

Law: what passes while it comes is not kept, what has to be kept is counted into the worker's room. All of it is the
caller's, byte for byte, but for the model's name; a broken form raises before its last byte has gone out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from gateway.errors import BadRequestError, TooLargeError
from gateway.proxy.caller import Connection
from gateway.proxy.form import Form
from gateway.proxy.incoming import Incoming
from gateway.proxy.limits import Room
from gateway.proxy.upstream import Source
from gateway.proxy.wire import MAX_FIELDS, model_name

_JOINED_BYTES = 256 * 1024
"""A form that is whole and no longer goes out in one piece, which costs no task."""
_OF_THE_USER = frozenset({"user", "safety_identifier", "metadata[user_id]"})


class FormBody:
    """One form: what is read of it, as of a JSON body, and the `Source` of its bytes."""

    __slots__ = ("_connection", "_decided_by", "_form", "_held", "_incoming", "_room", "asks_usage", "size_bytes")

    def __init__(self, connection: Connection, limit_bytes: int, room: Room) -> None:
        """Begin; raises what `Form` and `Incoming` raise."""
        self._form = Form(connection.headers.get(b"content-type", b""))
        self._connection = connection
        self._incoming = Incoming(connection, limit_bytes)
        self._room = room
        self._held: deque[bytes] = deque()
        self._decided_by: frozenset[str] | None = None
        self.size_bytes = self._incoming.size_bytes
        self.asks_usage = True

    async def read(self, is_decided: Callable[[FormBody], bool]) -> None:
        """Read and keep until a file begins that decides nothing any more, or to the form's end.

        Raises:
            BadRequestError: it is no form that can be read in one way alone, or names no model.
            TooLargeError: it is over the limit, or more than this worker may hold would have to be kept.
            ShedError: there is no room for it now.
            GoneError: the caller left.
        """
        kept_bytes = 0
        while not self._may_pass(is_decided) and (piece := await self._next()):
            kept_bytes += len(piece)
            if kept_bytes > self._room.limit_bytes:
                message = f"The form's model and user come after {self._room.limit_bytes:,} bytes; send them first."
                raise TooLargeError(message)
            self._connection.hold(len(piece), self._room)
            self._held.append(piece)
        model_name(self._form.fields.get("model"))

    def _may_pass(self, is_decided: Callable[[FormBody], bool]) -> bool:
        return self._form.has_file and "model" in self._form.fields and is_decided(self)

    @property
    def model(self) -> str:
        """Return the model's name."""
        return model_name(self._form.fields.get("model"))

    @property
    def stream(self) -> bool:
        """Tell whether the answer is asked for as a stream."""
        return self._form.stream

    def text(self, name: str) -> str | None:
        """Return a field that is read here, or None."""
        return self._form.fields.get(name)

    def metadata_text(self, name: str) -> str | None:
        """Return `metadata[name]`, as clients write nested fields, or None."""
        return self._form.fields.get(f"metadata[{name}]")

    def count(self, name: str) -> int:
        """Return a field that says how many of something are wanted; 1 when it is no number."""
        text = self._form.fields.get(name, "")
        return min(max(int(text), 1), MAX_FIELDS) if len(text) < 5 and text.isdecimal() else 1

    def continues(self) -> None:
        """No form goes on from an earlier answer."""

    def sent_as(self, model: str, *, is_split: bool) -> bytes | Source:
        """Return what is sent: the form with this model's name in it.

        `is_split`: the user decides who serves, so that one who is named later comes too late.
        """
        start, end = self._form.model_at
        named = model.encode()
        if self.size_bytes is not None:
            self.size_bytes += len(named) - (end - start)
        kept_bytes = sum(map(len, self._held))
        self._held = deque(spliced(self._held, start, end, named))
        self._connection.let_go(kept_bytes - sum(map(len, self._held)), self._room)
        if self._form.is_complete and self._incoming.is_over and kept_bytes <= _JOINED_BYTES:
            return b"".join(self._held)
        self._decided_by = frozenset(self._form.fields) if is_split else None
        return self

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
            self._form.feed(piece)
        if self._incoming.is_over:
            self._form.end()
        if self._decided_by is not None and (late := self._form.fields.keys() & _OF_THE_USER - self._decided_by):
            field = min(late)
            message = f"The form's field {field!r} comes after the file; send it before: it decides who answers."
            raise BadRequestError(message, param=field, code="late_field")
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
