"""The bytes of a segment: a head, then frames. No I/O: bytes in, frames out; a damaged frame is never returned.

Head: `magic (4) | schema u16 | length of worker u8 | length of boot u8 | worker | boot | crc32 of all before u32`.
Frame: `length u32 | crc32 of body u32 | body`, where body is the msgpack of an `analytics.record.Frame`.
All integers are little-endian. A length of 0 is the preallocated, not yet written part of a segment.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Literal

import msgspec

from analytics.record import SCHEMA, Frame

MAGIC = b"TNJL"
PREFIX_BYTES = 8
MAX_FRAME_BYTES = 1024 * 1024
"""A longer body is not written, and a longer length is not believed."""
MAX_HEAD_BYTES = 4 + 2 + 1 + 1 + 255 + 255 + 4

Stop = Literal["end", "zeros", "torn"]
"""Why a scan ended: no byte follows; a length of 0 follows; bytes follow that are no whole, sound frame."""

prefix = struct.Struct("<II")
_head = struct.Struct("<4sHBB")
_checksum = struct.Struct("<I")
_decoder = msgspec.msgpack.Decoder(Frame)


class UnreadableSegmentError(ValueError):
    """A segment's head is of a schema that this version does not read, or damaged (`DamagedHeadError`)."""


class DamagedHeadError(UnreadableSegmentError):
    """A segment does not start with a sound head."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Whose frames follow; `size_bytes` is where the first one starts."""

    schema: int
    worker: str
    boot: str
    size_bytes: int


def pack_head(worker: str, boot: str) -> bytes:
    """Return a segment's first bytes; worker and boot take at most 255 bytes each."""
    names = worker.encode(), boot.encode()
    start = _head.pack(MAGIC, SCHEMA, len(names[0]), len(names[1])) + names[0] + names[1]
    return start + _checksum.pack(zlib.crc32(start))


def unpack_head(start: bytes) -> Head:
    """Read a segment's head from its first `MAX_HEAD_BYTES` bytes (fewer if the segment is shorter).

    Raises:
        DamagedHeadError: no sound head stands there.
        UnreadableSegmentError: its schema is another one.
    """
    if len(start) < _head.size or start[:4] != MAGIC:
        message = "it does not start with a segment's head"
        raise DamagedHeadError(message)
    _, schema, worker_bytes, boot_bytes = _head.unpack_from(start)
    end = _head.size + worker_bytes + boot_bytes
    if len(start) < end + _checksum.size or _checksum.unpack_from(start, end)[0] != zlib.crc32(start[:end]):
        message = "its head is damaged"
        raise DamagedHeadError(message)
    if schema not in (SCHEMA, SCHEMA - 1):
        message = f"its schema is {schema}; this version reads {SCHEMA}"
        raise UnreadableSegmentError(message)
    boot_at = _head.size + worker_bytes
    return Head(
        schema=schema,
        worker=start[_head.size : boot_at].decode(),
        boot=start[boot_at:end].decode(),
        size_bytes=end + _checksum.size,
    )


def scan(window: bytes) -> Iterator[tuple[int, Frame | None]]:
    """Yield `(end, frame)` for the whole, sound frames at the start of `window`; None: sound, but no frame we know."""
    view, at, size = memoryview(window), 0, len(window)
    while at + PREFIX_BYTES <= size:
        length, crc = prefix.unpack_from(window, at)
        end = at + PREFIX_BYTES + length
        if not 0 < length <= MAX_FRAME_BYTES or end > size:
            return
        body = view[at + PREFIX_BYTES : end]
        if zlib.crc32(body) != crc:
            return
        yield end, _decode(body)
        at = end


def why_stopped(rest: bytes) -> Stop:
    """Tell what follows the last sound frame; `rest` may be cut after `PREFIX_BYTES` or later."""
    if not rest:
        return "end"
    return "torn" if any(rest[:PREFIX_BYTES]) else "zeros"


def _decode(body: memoryview) -> Frame | None:
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
