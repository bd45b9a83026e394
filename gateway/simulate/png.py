"""A small picture of one colour, as PNG (W3C PNG specification, colour type 2). Pure."""

from __future__ import annotations

import struct
import zlib

SIDE = 8
"""Pixels of each side: whatever size is asked for, nobody looks at it."""


def picture(colour: tuple[int, int, int]) -> bytes:
    """Return the picture; red, green and blue are 0 to 255."""
    row = b"\x00" + bytes(colour) * SIDE
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(row * SIDE)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
