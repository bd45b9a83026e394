"""Write a process's log behind its back: lines are handed over at once and written by a thread of their own.

The law: whatever is at the other end of standard error, whoever logs never waits for it and never fails by it. A reader
that stalls fills a bounded queue, and a write that fails is not tried again: what has no room or was refused is lost
and counted, and the count is a line of its own as soon as writing works again.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

from analytics.logline import Render, as_json, as_short

MOST_BYTES = 1 << 20
"""What may wait to be written: some thousand lines."""
PATIENCE_S = 1.0
"""How long the end of a process waits for its last lines."""
_AGAIN_S = 5.0
"""How often a count of lost lines is tried while nothing else is said."""


class LineWriter:
    """Writes lines to the descriptor `fd`; without one, all are lost. `line_of_lost` makes the line that tells a count.

    There is no lock: the garbage collector may log in the middle of anything, in either thread. One thread counts what
    is put, the other what is written.
    """

    def __init__(self, fd: int | None, line_of_lost: Callable[[int], str], most_bytes: int = MOST_BYTES) -> None:
        self._fd, self._line_of_lost, self._most_bytes = fd, line_of_lost, most_bytes
        self._lines: SimpleQueue[bytes | None] = SimpleQueue()
        self._put_bytes = self._taken_bytes = 0
        self._dropped = self._refused = self._told = 0
        self._is_torn = self._is_ending = False
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Hand over a line, without its line break, from one thread at a time.

        It never waits for a write and never raises for one.
        """
        encoded = _encoded(line)
        if self._is_ending or self._put_bytes - self._taken_bytes >= self._most_bytes:
            self._dropped += 1
        else:
            self._put_bytes += len(encoded)
            self._lines.put(encoded)

    def end(self, within_s: float = PATIENCE_S) -> None:
        """Write what waits, for at most `within_s` seconds; what comes later is lost."""
        self._is_ending = True
        self._lines.put(None)
        self._thread.join(within_s)

    def _write_all(self) -> None:
        # Signals are for the thread that waits for them.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        encoded: bytes | None = b""
        while encoded is not None:
            encoded = self._next()
            self._tell_lost()
            if encoded:
                self._refused += not self._write(encoded)
                self._taken_bytes += len(encoded)

    def _next(self) -> bytes | None:
        """Wait for a line, and return it; nothing if it is time to tell of lost ones, None at the end."""
        try:
            return self._lines.get(timeout=_AGAIN_S if self._lost() else None)
        except Empty:
            return b""

    def _lost(self) -> int:
        return self._dropped + self._refused - self._told

    def _tell_lost(self) -> None:
        lost = self._lost()
        if lost and self._write(_encoded(self._line_of_lost(lost))):
            self._told += lost

    def _write(self, encoded: bytes) -> bool:
        """Write a line; return False if it was refused. What was begun and refused is closed before the next one."""
        if self._fd is None:
            return False
        left = memoryview(b"\n" + encoded if self._is_torn else encoded)
        while left:
            try:
                written = os.write(self._fd, left)
            except BlockingIOError:
                _wait_for_room(self._fd)
            except OSError:
                return False
            else:
                left = left[written:]
                self._is_torn = bool(left)
        return True


def _encoded(line: str) -> bytes:
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _wait_for_room(fd: int) -> None:
    """Whoever else has this pipe or terminal open may have told it not to let writers wait."""
    room = select.poll()
    room.register(fd, select.POLLOUT)
    room.poll()


def to_standard_error(process: str) -> tuple[LineWriter, Render]:
    """Return the writer of this process's log and how its lines look; at the process's end what waits is written."""
    stream = sys.stderr
    render = as_short if stream is not None and stream.isatty() else as_json  # pyright: ignore[reportUnnecessaryComparison] - None if it was closed at the start

    def lost(count: int) -> str:
        return render(fields_of(process, "error", "lines of the log were lost", {"lines": count}))

    writer = LineWriter(stream.fileno() if stream is not None else None, lost)  # pyright: ignore[reportUnnecessaryComparison] - as above
    atexit.register(writer.end)
    return writer, render


def fields_of(process: str, level: str, event: str, fields: Mapping[str, object]) -> dict[str, Any]:
    """Return a line that is said now, to be rendered."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"at": at, "level": level, "process": process, "event": event, **fields}
