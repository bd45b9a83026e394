"""Who may move or rewrite a lake's files: one at a time.

A lock file sees to it, of a lake in a directory beside the files, of one in an object store in the state directory; its
holder's death lets go.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from analytics.lake.layout import MERGED, Lake
from analytics.lake.place import Place
from analytics.lake.store import OUTBOX, Store
from analytics.lake.verify import NoLakeError

_LOCK = "compaction.lock"
_BESIDE = "compaction"


class CompactionRunningError(RuntimeError):
    """Another one compacts this lake now."""


def opened(place: Place, state_dir: Path) -> tuple[Path, Store]:
    """Return the folder of whoever rewrites a lake's files, which has the lock, and the lake's store.

    Raises:
        NoLakeError: there is none.
        MissingPackageError: see `Place.open`.
        OSError: the store is away.
    """
    beside = state_dir / _BESIDE if place.directory is None else place.directory / MERGED
    store = place.open(beside / OUTBOX)
    if not Lake(store).is_there():
        message = f"there is no lake in {store}: name it with --lake, or start `turnout serve` once"
        raise NoLakeError(message)
    return beside, store


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
