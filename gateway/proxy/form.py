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

_CHARSET = rb'(?:[ \t]*;[ \t]*charset="?utf-8"?)?'
_BOUNDARY = re.compile(
    rb"multipart/form-data%b[ \t]*;[ \t]*boundary=(?:\"([0-9A-Za-z+_.=-]{1,70})\"|([0-9A-Za-z+_.-]{1,70}))%b"
    % (_CHARSET, _CHARSET),
    re.IGNORECASE,
)
"""Of RFC 2046's characters those that clients send and no reader strips, splits at or decodes; `=` in quotes alone."""
_TRUE = frozenset({"true", "t", "1", "yes", "y", "on"})


class Form:
    """One body. `fields` are those that are read here; `model_at` is where the model's name stands in the body.

    `on_field` is told the name of each as it is read, and may raise; `is_complete` after the closing boundary.
    """

    __slots__ = ("_count", "_dashes", "_files", "_held", "_offset", "_part", "_step", "fields", "model_at", "on_field")

    def __init__(self, content_type: bytes) -> None:
        """Begin to read; raises `BadRequestError` when the header does not name one boundary."""
        named = _BOUNDARY.fullmatch(content_type.strip())
        if named is None:
            refuse("its content-type must be multipart/form-data with one boundary, and nothing else")
        self._dashes = b"--" + (named[1] or named[2])
        self._held = b""
        self._offset = 0
        self._count = 0
        self._files = 0
        self._part = Part(name="", is_file=False, is_read=False)
        self._step: Callable[[bytes, int], tuple[int, bool]] = self._begin
        self.on_field: Callable[[str], None] | None = None
        self.fields: dict[str, str] = {}
        self.model_at = (0, 0)

    @property
    def is_complete(self) -> bool:
        """Tell whether the closing boundary has come."""
        return self._step == self._epilogue

    @property
    def stream(self) -> bool:
        """Tell whether the answer is asked for as a stream."""
        return self.fields.get("stream", "").lower() in _TRUE

    def feed(self, piece: bytes, *, to_file: bool = False) -> bool:
        """Take the next bytes; raises `BadRequestError`, whose message says what is wrong.

        With `to_file`, go no further than a file's head; True: one was read, and what came behind it is read next.
        """
        held = self._held + piece if self._held else piece
        at, goes_on, before = 0, True, self._files
        while goes_on and not (to_file and self._files > before):
            at, goes_on = self._step(held, at)
        self._held = held[at:]
        self._offset += at
        return self._files > before

    def end(self) -> None:
        """Note that nothing more comes; raises `BadRequestError` when something is missing."""
        if not self.is_complete:
            refuse("it ends before its closing boundary")

    def _begin(self, held: bytes, at: int) -> tuple[int, bool]:
        if not held.startswith(self._dashes[: len(held)]):
            refuse("it does not begin with the boundary that its content-type names")
        return self._after_boundary(held, at, len(self._dashes))

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
        if (end if end >= 0 else len(held) - 3) - at > MAX_HEAD_BYTES:
            refuse(f"the head of a part is longer than {MAX_HEAD_BYTES:,} bytes")
        if end < 0:
            return at, False
        if held.find(self._dashes, at, end) >= 0:
            refuse("its boundary stands in the head of a part")
        part = self._part = part_of(held[at:end])
        self._files += part.is_file
        if part.is_read and part.name in self.fields:
            message = f"The form has the field {part.name!r} twice; send each field once."
            raise BadRequestError(message, param=part.name, code="duplicate_field")
        self._step = self._content
        return end + 4, True

    def _content(self, held: bytes, at: int) -> tuple[int, bool]:
        """Read to the next boundary; some readers see one behind a bare CR or LF too, or anywhere in a line."""
        is_read, dashes = self._part.is_read, self._dashes
        found = held.find(dashes, at)
        end = found - 2 if found >= 0 else len(held) - len(dashes) - 1
        if is_read and end - at - (found < 0) > MAX_FIELD_BYTES:
            message = f"The form's field {self._part.name!r} is longer than {MAX_FIELD_BYTES:,} bytes."
            raise BadRequestError(message, param=self._part.name, code="field_too_long")
        if found < 0:
            return (at if is_read else max(at, end)), False
        if end < at or held[end:found] != b"\r\n":
            refuse("its boundary stands within a part; choose one that no content holds")
        after, goes_on = self._after_boundary(held, at if is_read else end, found + len(dashes))
        if is_read and goes_on:
            self._note(held[at:end], self._offset + at)
        return after, goes_on

    def _note(self, value: bytes, at: int) -> None:
        name = self._part.name
        try:
            self.fields[name] = value.decode()
        except UnicodeDecodeError:
            message = f"The form's field {name!r} is not valid UTF-8."
            raise BadRequestError(message, param=name, code="invalid_type") from None
        if name == "model":
            self.model_at = (at, at + len(value))
        if self.on_field is not None:
            self.on_field(name)

    def _epilogue(self, held: bytes, at: int) -> tuple[int, bool]:
        if not b"\r\n".startswith(held[at:]):
            refuse("something follows its closing boundary")
        return at, False
