"""How far an analyst's statement is: told by the process that runs it in single bytes, each a whole percent.

The process has one thread alone, or Landlock would not hold it; so an alarm of the system's asks DuckDB now and then,
in between its tasks. Whoever hears it believes nothing but a byte from 0 to 100 that is larger than the last, and only
so many bytes: then the pipe is closed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress

LOOK_S = 0.25
MOST_BYTES = 16 * 1024
"""An hour of looks."""
_MOST_PERCENT = 100

Tell = Callable[[int], None]
"""Hears a percent, each time a larger one."""


def tell_from_now_on(progress: Callable[[], float], descriptor: int, every_s: float = LOOK_S) -> None:
    """Write what `progress` says, percent, below 0 while nobody knows, to `descriptor` until the process ends.

    `descriptor` does not block: what cannot be written is left out. It needs the main thread.
    """

    def tell(*_: object) -> None:
        with suppress(Exception):  # nothing that is only to be shown may end a statement
            percent = progress()
            if percent >= 0:
                os.write(descriptor, bytes([min(int(percent), _MOST_PERCENT)]))

    signal.signal(signal.SIGALRM, tell)
    signal.setitimer(signal.ITIMER_REAL, every_s, every_s)


class Heard:
    """Takes what is heard of one statement, and tells on what is news; `is_enough` when no more is to be taken."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._percent = -1
        self._left_bytes = MOST_BYTES

    def take(self, chunk: bytes) -> None:
        """Hear what came."""
        percent = max((one for one in chunk if one <= _MOST_PERCENT), default=-1)
        if percent > self._percent:
            self._percent = percent
            self._tell(percent)
        self._left_bytes -= len(chunk)

    @property
    def is_enough(self) -> bool:
        """Whether so much came that what writes it is not ours any more."""
        return self._left_bytes <= 0
