"""The controller's sign of life: a file that it writes, and two that watch it: a thread beside it, and another process.

The law: the controller never tells of its own silence. Whoever watches measures by a clock of its own how long the sign
has stayed the same, so that a clock that moves is no alarm, and two that notice the same silence tell of it once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from analytics.telemetry.tick import TICK_FILE, read_tick
from rollout.notice import Announce, Notice

HEARTBEAT_FILE = TICK_FILE
SILENT_S = 300.0
"""More than any tick takes, be it the first one after a long outage of the lake."""
WRITE_S = 1.0


class Heartbeat:
    """The sign of life of this process's controller; `look` is called about once a second by another thread.

    Nothing is watched before the first `beat`.
    """

    def __init__(
        self,
        path: Path,
        announce: Announce,
        *,
        silent_s: float = SILENT_S,
        clock: Callable[[], float] = time.monotonic,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._path, self._announce, self._silent_s = path, announce, silent_s
        self._clock, self._now_us = clock, now_us
        self._turn = threading.Lock()
        self._beat_at: float | None = None
        self._written_at: float | None = None
        self._sign = ""
        self._silent: Notice | None = None

    def beat(self) -> None:
        """Say that a tick is over; a console that is not the one to decide says so too."""
        now = self._clock()
        with self._turn:
            self._beat_at = now
            if self._written_at is None or now - self._written_at >= WRITE_S:
                self._written_at, self._sign = now, str(self._now_us())
                with suppress(OSError):
                    write_sign(self._path, self._sign)
            silent, self._silent = self._silent, None
        if silent is not None:
            at = self._now_us()
            words = "the controller decides again"
            self._announce.announce(Notice(what="controller_back", words=words, at=at, mark=silent.mark))

    def look(self) -> None:
        """Announce a silence once."""
        with self._turn:
            if self._beat_at is None or self._silent is not None:
                return
            silent_for_s = self._clock() - self._beat_at
            if silent_for_s < self._silent_s:
                return
            self._silent = silence(self._sign, silent_for_s, self._now_us())
            notice = self._silent
        self._announce.announce(notice)


def silence(sign: str, silent_for_s: float, at: int) -> Notice:
    """Return what is told of a silence since a sign: the same event, whoever notices it. `at`: µs since 1970 UTC."""
    words = (
        f"the controller of rollouts has decided nothing for {silent_for_s:.0f} s: nothing is promoted, and nothing is "
        "rolled back but by hand. See the console's log; a file force-base in its state directory sends all to base"
    )
    return Notice(what="controller_silent", words=words, at=at, mark=sign)


def read_sign(path: Path) -> str | None:
    """Return the last sign of life; None where there was none, or it cannot be read now."""
    return read_tick(path)


def write_sign(path: Path, sign: str) -> None:
    """Put a sign in the place of the last one, whole.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(sign)
    draft.replace(path)
