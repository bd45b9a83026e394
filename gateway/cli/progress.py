"""Show on standard error how far a long command is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import TextIO

_BAR_EVERY_S = 0.2
_LINE_EVERY_S = 5.0
_BAR_WIDTH = 28


class Progress:
    """Counts `done` and `failed` of `total`; call `end` when all is over."""

    def __init__(self, total: int, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._stream = stream
        self._clock = clock
        self._terminal = stream.isatty()
        self._every_s = _BAR_EVERY_S if self._terminal else _LINE_EVERY_S
        self._started = self._shown = clock()
        self._done = 0
        self._failed = 0

    def add(self, *, failed: bool) -> None:
        """Count one request."""
        self._done += 1
        self._failed += failed
        now = self._clock()
        if now - self._shown >= self._every_s:
            self._shown = now
            self._show(now)

    def end(self) -> None:
        """Show the last state and leave the line."""
        if self._terminal:
            self._show(self._clock())
            self._stream.write("\n")

    def _show(self, now: float) -> None:
        rate = self._done / max(now - self._started, 1e-9)
        text = f"{self._done:,} of {self._total:,} requests, {rate:,.0f}/s, {self._failed:,} failed"
        if self._terminal:
            full = round(_BAR_WIDTH * self._done / max(self._total, 1))
            room = max(shutil.get_terminal_size().columns - 1, 10)
            self._stream.write("\r" + f"[{'#' * full}{'.' * (_BAR_WIDTH - full)}] {text}"[:room] + "\x1b[K")
        else:
            self._stream.write(text + "\n")
        self._stream.flush()


class Stages:
    """Shows what a long command is at: how many of how many, of one thing after the other."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._terminal = stream.isatty()
        self._every_s = _BAR_EVERY_S if self._terminal else _LINE_EVERY_S
        self._shown = clock() - (self._every_s if self._terminal else 0)
        self._is_open = False

    def show(self, what: str, done: int, total: int) -> None:
        """Show it, if it is time again."""
        now = self._clock()
        if now - self._shown < self._every_s:
            return
        self._shown = now
        text = f"{what}: {done:,} of {total:,}"
        self._stream.write(f"\r{text}\x1b[K" if self._terminal else f"{text}\n")
        self._stream.flush()
        self._is_open = self._terminal

    def end(self) -> None:
        """Leave the line."""
        if self._is_open:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
