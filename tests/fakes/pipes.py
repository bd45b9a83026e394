"""Pipes that nobody reads."""

from __future__ import annotations

import os


def fill(fd: int) -> int:
    """Fill a pipe whose reader stalls, and return how many bytes it holds."""
    os.set_blocking(fd, False)
    held = 0
    try:
        while True:
            held += os.write(fd, b"." * 512)
    except BlockingIOError:
        os.set_blocking(fd, True)
        return held
