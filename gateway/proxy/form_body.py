"""A form on its way to the upstream: read until it is decided who serves it, and checked while the rest passes.

Law: what passes while it comes is not kept, what has to be kept is counted into the worker's room. All of it is the
caller's, byte for byte, but for the model's name; a broken form raises before its last byte has gone out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping

from gateway.errors import BadRequestError, TooLargeError
from gateway.proxy.caller import Connection
from gateway.proxy.form import Form
from gateway.proxy.incoming import Incoming
from gateway.proxy.limits import Room
from gateway.proxy.upstream import Source
from gateway.proxy.wire import MAX_FIELDS, model_name

_JOINED_BYTES = 256 * 1024
"""A form that is whole and no longer goes out in one piece, which costs no task."""


class FormBody:
    """One form: what is read of it, as of a JSON body, and the `Source` of its bytes.

    `is_whole` unless it passes on from a file behind which fields may follow; then `stream` and `count` tell what stood
    before that file, however the network cut the form.
    """

    __slots__ = (
        "_connection",
        "_form",
        "_held",
        "_incoming",
        "_key",
        "_known",
        "_room",
        "asks_usage",
        "is_whole",
        "size_bytes",
        "stream",
    )

    def __init__(self, connection: Connection, limit_bytes: int, room: Room) -> None:
        """Begin; raises what `Form` and `Incoming` raise."""
        self._form = Form(connection.headers.get(b"content-type", b""))
        self._connection = connection
        self._incoming = Incoming(connection, limit_bytes)
        self._room = room
        self._held: deque[bytes] = deque()
        self._known: Mapping[str, str] = {}
        self._key: Callable[[], bytes | None] = lambda: None
        self.size_bytes = self._incoming.size_bytes
        self.asks_usage = True
        self.is_whole = True
        self.stream = False

    async def read(self, is_decided: Callable[[], bool], key: Callable[[], bytes | None]) -> None:
        """Read and keep until a file begins that decides nothing any more, or to the form's end.

        `key` returns the key of the user who is named by all that was read so far; both raise `BadRequestError`.

        Raises:
            BadRequestError: it is no form that can be read in one way alone, or names no model.
            TooLargeError: it is over the limit, or more than this worker may hold would have to be kept.
            ShedError: there is no room for it now.
            GoneError: the caller left.
        """
        self._key = key
        kept_bytes = 0
        while self.is_whole and (piece := await self._incoming.piece()):
            self.is_whole = not self._reaches_passage(piece, is_decided)
            kept_bytes += len(piece)
            if self.is_whole and kept_bytes > self._room.limit_bytes:
                message = f"The form's model and user come after {self._room.limit_bytes:,} bytes; send them first."
                raise TooLargeError(message)
            self._connection.hold(len(piece), self._room)
            self._held.append(piece)
        if self.is_whole:
            self._form.end()
        self._known, self.stream = dict(self._form.fields), self._form.stream
        model_name(self._known.get("model"))

    def _reaches_passage(self, piece: bytes, is_decided: Callable[[], bool]) -> bool:
        """Read on to a file's head from which the form may pass on; what came behind it is not read yet."""
        reaches = self._form.feed(piece, to_file=True)
        while reaches and not ("model" in self._form.fields and is_decided()):
            reaches = self._form.feed(b"", to_file=True)
        return reaches

    @property
    def model(self) -> str:
        """Return the model's name."""
        return model_name(self._form.fields.get("model"))

    def text(self, name: str) -> str | None:
        """Return a field that is read here, or None."""
        return self._form.fields.get(name)

    def metadata_text(self, name: str) -> str | None:
        """Return `metadata[name]`, as clients write nested fields, or None."""
        return self._form.fields.get(f"metadata[{name}]")

    def count(self, name: str) -> int:
        """Return a field that says how many of something are wanted; 0 when it is no number, or may come later."""
        text = self._known.get(name, "1" if self.is_whole else "")
        return min(max(int(text), 1), MAX_FIELDS) if len(text) < 5 and text.isdecimal() else 0

    def continues(self) -> None:
        """No form goes on from an earlier answer."""

    def sent_as(self, model: str, *, is_split: bool) -> bytes | Source:
        """Return what is sent: the form with this model's name in it; raises as `piece`.

        `is_split`: the user decides who serves, so that a field that names another one comes too late now.
        """
        start, end = self._form.model_at
        named = model.encode()
        if self.size_bytes is not None:
            self.size_bytes += len(named) - (end - start)
        kept_bytes = sum(map(len, self._held))
        self._held = deque(spliced(self._held, start, end, named))
        self._connection.let_go(kept_bytes - sum(map(len, self._held)), self._room)
        if not self.is_whole:
            self._form.on_field = self._refuse_another(self._key()) if is_split else None
            self._read_on(b"")
        if self._form.is_complete and self._incoming.is_over and kept_bytes <= _JOINED_BYTES:
            return b"".join(self._held)
        return self

    async def piece(self) -> bytes:
        """See `Source`; raises as `read`."""
        if self._held:
            piece = self._held.popleft()
            self._connection.let_go(len(piece), self._room)
            return piece
        piece = await self._incoming.piece()
        self._read_on(piece)
        return piece

    def _read_on(self, piece: bytes) -> None:
        self._form.feed(piece)
        if self._incoming.is_over:
            self._form.end()

    def _refuse_another(self, key: bytes | None) -> Callable[[str], None]:
        def check(field: str) -> None:
            if self._key() != key:
                message = f"The form's field {field!r} comes after the file; send it before: it decides who answers."
                raise BadRequestError(message, param=field, code="late_field")

        return check

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
