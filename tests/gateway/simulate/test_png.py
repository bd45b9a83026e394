from __future__ import annotations

import struct
import zlib

from gateway.simulate.png import SIDE, picture


def test_a_picture_is_a_valid_png_of_one_colour():
    made = picture((1, 2, 3))

    assert made[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, dict[bytes, bytes]()
    while at < len(made):
        size, name = struct.unpack(">I4s", made[at : at + 8])
        content = made[at + 8 : at + 8 + size]
        assert struct.unpack(">I", made[at + 8 + size : at + 12 + size])[0] == zlib.crc32(name + content)
        chunks[name] = content
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (SIDE, SIDE)
    assert zlib.decompress(chunks[b"IDAT"]) == (b"\x00" + b"\x01\x02\x03" * SIDE) * SIDE
