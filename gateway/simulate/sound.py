"""Sounds that nobody listens to: a tone as WAV or PCM, silence as MP3, in blocks of a hundredth of a second. Pure."""

from __future__ import annotations

import math
import struct

RATE = 24_000
"""Samples a second, of 16 bits, one channel: OpenAI's PCM."""
_BLOCK_SAMPLES = RATE // 100
_TONE = b"".join(
    struct.pack("<h", round(6_000 * math.sin(2 * math.pi * 400 * n / RATE))) for n in range(_BLOCK_SAMPLES)
)
# MPEG 1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes a frame; side information of zeros is silence.
_SILENCE = bytes((0xFF, 0xFB, 0x90, 0x64)) + bytes(413)

CONTENT_TYPES = {"mp3": b"audio/mpeg", "wav": b"audio/wav", "pcm": b"audio/pcm"}


def blocks(form: str, count: int) -> list[bytes]:
    """Return a sound of `count` blocks, at least one; a WAV's header stands before the first."""
    count = max(count, 1)
    if form == "mp3":
        return [_SILENCE] * count
    made = [_TONE] * count
    if form == "wav":
        made[0] = _wav_header(len(_TONE) * count) + made[0]
    return made


def _wav_header(size: int) -> bytes:
    described = struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + described + b"data" + struct.pack("<I", size)
