"""Put a segment back that somebody removed, moved or replaced while it was written.

It is still whole behind its open descriptor. The thread that syncs copies it, the thread that appends adds what came
meanwhile and puts the copy in its place. The copy has the same number and the same bytes, so that the shipper, which
knows by both what it has settled, settles nothing twice and sees every frame in its order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from analytics.journal.segment import Segment

_log = logging.getLogger("turnout.journal")


class Removal:
    """What a writer does about removed segments; `present` returns the one that is written, `make` a new one."""

    def __init__(self, directory: Path, *, present: Callable[[], Segment | None], make: Callable[[], Segment]) -> None:
        self._directory, self._present, self._make = directory, present, make
        self._removed: Segment | None = None
        self._copy: Segment | None = None

    def look(self) -> None:
        """Copy the present segment if it was removed: for the thread that syncs, beside appends.

        A removal is said once, however often the copying fails.

        Raises:
            OSError: the disk does not take the copy; everything stays as it was.
        """
        segment = self._present()
        if segment is None or self._copy is not None or not segment.is_removed():
            return
        if self._present() is not segment:
            return  # it was settled, and removed by the shipper
        if self._removed is not segment:
            _log.error("a journal segment was removed while it was written; it is written anew", extra=segment.place)
        self._removed = segment
        self._directory.mkdir(parents=True, exist_ok=True)
        copy = self._make()
        try:
            copy.catch_up(segment)
        except OSError:
            copy.discard()
            raise
        self._copy = copy

    def put_back(self) -> Segment | None:
        """Return the copy, in the name of the one that was removed; None if there is nothing to put back."""
        copy, last = self._copy, self._present()
        self._copy = None
        if copy is None:
            return None
        if last is None or last is not self._removed or not last.is_removed():
            copy.discard()
            return None
        return copy if copy.replace(last) else None
