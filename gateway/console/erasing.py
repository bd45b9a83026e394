"""Has the lake looked through for everybody who is to be erased: by a process of its own, one at a time.

So a look takes no memory of the console's, and may be killed: the next one goes on from there.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Lock

from litestar import Litestar

from analytics.lake.place import Place
from gateway.console.compacting import last_line, opening

_LOOK = "analytics.lake.erase"


class LookError(RuntimeError):
    """The lake was not looked through to its end."""


class Erasing:
    """Looks through one lake for the erasures of a state directory; `discard` removes what was copied of it before.

    May be called from any thread. Close it in the end.
    """

    def __init__(
        self, place: Place, state_dir: Path, environment: Mapping[str, str], discard: Callable[[], None]
    ) -> None:
        self._words = [sys.executable, "-m", _LOOK, "--state-dir", str(state_dir), "--lake", place.url]
        self._environment = opening(environment)
        self._discard = discard
        self._running: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        self._is_closed = False

    def look(self) -> None:
        """Look once, and return when all was looked through.

        Raises:
            LookError: it was not; the sentence says why.
        """
        with self._lock:
            if self._is_closed:
                message = "the console ends"
                raise LookError(message)
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self._environment,
                process_group=0,
            )
            self._running = process
        try:
            _, trouble = process.communicate()
        finally:
            self._discard()
        if process.returncode:
            raise LookError(last_line(trouble))

    @asynccontextmanager
    async def running(self, _: Litestar) -> AsyncGenerator[None]:
        """Look when somebody asks for it, until the block ends."""
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """End what runs."""
        with self._lock:
            self._is_closed = True
            if self._running is not None:
                self._running.kill()
