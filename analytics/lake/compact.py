"""One compaction of one lake, by whoever asks for it.

One at a time works on a lake in a directory, and from one state directory on one in an object store: a lock file sees
to it, and its holder's death lets go.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from analytics.lake.compaction import Compacted, Compaction
from analytics.lake.layout import INCOMING, MERGED
from analytics.lake.needed import needed_elsewhere, needed_here
from analytics.lake.place import Place
from analytics.lake.shipper import wall_clock
from analytics.lake.store import OUTBOX
from analytics.lake.verify import NoLakeError

_LOCK = "compaction.lock"
_BESIDE = "compaction"


class CompactionRunningError(RuntimeError):
    """Another one compacts this lake now."""


def compact(place: Place, state_dir: Path) -> Compacted:
    """Compact a lake that the workers of `state_dir` write to, and return what was done. It blocks.

    Raises:
        CompactionRunningError: another one compacts it.
        NoLakeError: there is none.
        MissingPackageError: see `Place.open`.
        OSError: the disk, the memory or the store refuses; the next one goes on from there.
    """
    beside = state_dir / _BESIDE if place.directory is None else place.directory / MERGED
    store = place.open(beside / OUTBOX)
    if not store.exists(INCOMING):
        message = f"there is no lake in {store}: name it with --lake, or start `turnout serve` once"
        raise NoLakeError(message)
    needed = needed_elsewhere(wall_clock) if store.is_far else needed_here(state_dir / "journal")
    with alone(beside):
        compaction = Compaction(store, beside, wall_clock, needed)
        try:
            return compaction.run()
        finally:
            compaction.close()


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Hold the lock in a folder, and make that if need be.

    Raises:
        CompactionRunningError: another one holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"the lake is being compacted already ({path} is locked): wait until that has ended"
            raise CompactionRunningError(message) from None
        yield
    finally:
        os.close(fd)
