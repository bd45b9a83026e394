"""Read the fields of a multipart/form-data body (RFC 7578) while it passes. Pure: bytes in, fields and places out.

Law: what two readers could read differently is refused, so that no upstream sees another model or user than was read
here; and however long a body is, no more of it is kept than a part's head or one short field.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.errors import BadRequestError
from gateway.proxy.part import Part, part_of, refuse

MAX_FIELD_BYTES = 4096
"""Of a field that is read here; all others may be as long as they are."""
MAX_PARTS = 1000
MAX_HEAD_BYTES = 8 * 1024

_LETTERS = rb"0-9A-Za-z'()+_,./:=?-"
_CHARSET = rb'(?:[ \t]*;[ \t]*charset="?utf-8"?)?'
_BOUNDARY = re.compile(
    rb"multipart/form-data%b[ \t]*;[ \t]*boundary=(?:\"([ %b]{0,69}[%b])\"|([%b]{1,70}))%b"
    % (_CHARSET, _LETTERS, _LETTERS, _LETTERS, _CHARSET),
    re.IGNORECASE,
)
"""RFC 2046, section 5.1.1; as all clients do, the characters that need quotes are taken without them too."""
_TRUE = frozenset({"true", "1", "yes", "on"})


class Form:
    """One body. `fields` are those that are read here; `model_at` is where the model's name stands in the body.

    `has_file` after the head of the first part that is a file; `is_complete` after the closing boundary.
    """

    __slots__ = ("_count", "_delimiter", "_held", "_offset", "_part", "_step", "fields", "has_file", "model_at")

    def __init__(self, content_type: bytes) -> None:
        """Begin to read; raises `BadRequestError` when the header does not name one boundary."""
        named = _BOUNDARY.fullmatch(content_type.strip())
        if named is None:
            refuse("its content-type must be multipart/form-data with one boundary, and nothing else")
        self._delimiter = b"\r\n--" + (named[1] or named[2])
        self._held = b""
        self._offset = 0
        self._count = 0
        self._part = Part(name="", is_file=False, is_read=False)
        self._step: Callable[[bytes, int], tuple[int, bool]] = self._begin
        self.fields: dict[str, str] = {}
        self.has_file = False
        self.model_at = (0, 0)

    @property
    def is_complete(self) -> bool:
        """Tell whether the closing boundary has come."""
        return self._step == self._epilogue

    @property
    def stream(self) -> bool:
        """Tell whether the answer is asked for as a stream."""
        return self.fields.get("stream", "").lower() in _TRUE

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; raises `BadRequestError`, whose message says what is wrong."""
        held = self._held + piece if self._held else piece
        at, goes_on = 0, True
        while goes_on:
            at, goes_on = self._step(held, at)
        self._held = held[at:]
        self._offset += at

    def end(self) -> None:
        """Note that nothing more comes; raises `BadRequestError` when something is missing."""
        if not self.is_complete:
            refuse("it ends before its closing boundary")

    def _begin(self, held: bytes, at: int) -> tuple[int, bool]:
        first = self._delimiter[2:]
        if not held.startswith(first[: len(held)]):
            refuse("it does not begin with the boundary that its content-type names")
        return self._after_boundary(held, at, len(first))

    def _after_boundary(self, held: bytes, at: int, after: int) -> tuple[int, bool]:
        """Go on behind a boundary; `at` is what is kept while the two bytes behind it are missing."""
        follows = held[after : after + 2]
        if len(follows) < 2 and (not follows or follows in b"\r-"):
            return at, False
        if follows == b"\r\n":
            self._count += 1
            if self._count > MAX_PARTS:
                refuse(f"it has more than {MAX_PARTS:,} parts")
            self._step = self._head
        elif follows == b"--":
            self._step = self._epilogue
        else:
            refuse("a line begins with its boundary and goes on")
        return after + 2, True

    def _head(self, held: bytes, at: int) -> tuple[int, bool]:
        end = held.find(b"\r\n\r\n", at)
        if (end if end >= 0 else len(held)) - at > MAX_HEAD_BYTES:
            refuse(f"the head of a part is longer than {MAX_HEAD_BYTES:,} bytes")
        if end < 0:
            return at, False
        part = self._part = part_of(held[at:end])
        self.has_file = self.has_file or part.is_file
        if part.is_read and part.name in self.fields:
            message = f"The form has the field {part.name!r} twice; send each field once."
            raise BadRequestError(message, param=part.name, code="duplicate_field")
        self._step = self._content
        return end + 4, True

    def _content(self, held: bytes, at: int) -> tuple[int, bool]:
        is_read = self._part.is_read
        found = held.find(self._delimiter, at)
        if is_read and (found if found >= 0 else len(held) - len(self._delimiter)) - at > MAX_FIELD_BYTES:
            message = f"The form's field {self._part.name!r} is longer than {MAX_FIELD_BYTES:,} bytes."
            raise BadRequestError(message, param=self._part.name, code="field_too_long")
        if found < 0:
            return (at if is_read else max(at, len(held) - len(self._delimiter) + 1)), False
        end, goes_on = self._after_boundary(held, at if is_read else found, found + len(self._delimiter))
        if is_read and goes_on:
            self._note(held[at:found], self._offset + at)
        return end, goes_on

    def _note(self, value: bytes, at: int) -> None:
        name = self._part.name
        try:
            self.fields[name] = value.decode()
        except UnicodeDecodeError:
            message = f"The form's field {name!r} is not valid UTF-8."
            raise BadRequestError(message, param=name, code="invalid_type") from None
        if name == "model":
            self.model_at = (at, at + len(value))

    def _epilogue(self, held: bytes, at: int) -> tuple[int, bool]:
        if not b"\r\n".startswith(held[at:]):
            refuse("something follows its closing boundary")
        return at, False
