"""The file of a worker's status page: made as soon as the disk takes it, kept after the end if it tells of losses.

The law: no worker fails for want of its page, and no count of lost records vanishes with the worker that counted them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from analytics.journal.status import StatusError, StatusPage, read

RETRY_S = 1.0
ENDED_SUFFIX = ".ended"
"""`NAME.BOOT.ended`: the last page of a worker that is gone and whose journal was in trouble."""

_log = logging.getLogger("turnout.proxy")


class PageFile:
    """One worker's page and its file; `clock` gives monotonic seconds."""

    def __init__(self, path: Path, *, boot: str, pid: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.page = StatusPage.unpublished(boot=boot, pid=pid)
        self._path, self._boot, self._clock = path, boot, clock
        self._is_published = self._is_told = False
        self._retry_at = clock()
        _keep_losses(path)
        self.tend()

    def tend(self) -> None:
        """Make the file if there is none yet: for the thread that writes to the page, a few times a second."""
        now = self._clock()
        if self._is_published or now < self._retry_at:
            return
        self._retry_at = now + RETRY_S
        try:
            self.page.publish(self._path)
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                self._say(logging.ERROR, "no status page can be made; the worker serves without one", error)
        else:
            self._is_published = True
            if self._is_told:
                self._say(logging.WARNING, "the status page is made at last", None)

    def end(self) -> None:
        """Remove the file, or keep it under another name if it tells of losses; another worker's is left alone."""
        self._retry_at = self._clock()
        self.tend()
        try:
            if self._is_published and read(self._path).boot == self._boot and not _keep_losses(self._path):
                self._path.unlink()
        except (OSError, StatusError) as error:
            self._say(logging.WARNING, "status page not removed", error)

    def _say(self, level: int, event: str, error: Exception | None) -> None:
        extra = {"path": str(self._path)}
        _log.log(level, event, extra=extra if error is None else {**extra, "reason": str(error)})


def _keep_losses(path: Path) -> bool:
    """Put a page aside whose journal was in trouble; tell whether it was."""
    try:
        left = read(path)
        if not (left.lost or left.journal_trouble):
            return False
        path.rename(path.with_name(f"{path.stem}.{left.boot}{ENDED_SUFFIX}"))
    except (OSError, StatusError):
        return False
    return True
