"""The thread that makes a journal durable every half second: after a power loss at most that much is missing."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from analytics.journal.writer import Writer

SYNC_EVERY_S = 0.5


class Syncer:
    """Owns one thread that calls `writer.sync()`; use it as a context manager, or `start` and `stop` it.

    `stop` returns when the thread has ended; close the writer after that.
    """

    def __init__(self, writer: Writer, *, every_s: float = SYNC_EVERY_S) -> None:
        self._writer, self._every_s = writer, every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-syncer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped.set()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            self._writer.sync()
