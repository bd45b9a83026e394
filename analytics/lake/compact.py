"""One compaction of one lake, by whoever asks for it; `python -m analytics.lake.compact` is the console's.

One at a time works on a lake in a directory, and from one state directory on one in an object store: a lock file sees
to it, and its holder's death lets go.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from analytics.lake.compaction import Compacted, Compaction
from analytics.lake.layout import MERGED, Lake
from analytics.lake.needed import needed_elsewhere, needed_here
from analytics.lake.place import MissingPackageError, Place
from analytics.lake.shipper import LOCK, wall_clock
from analytics.lake.store import OUTBOX
from analytics.lake.verify import NoLakeError

_LOCK = "compaction.lock"
_BESIDE = "compaction"
_LAST_OF_ALL = 19
"""How nice it is to everybody else on the machine."""


def main(argv: Sequence[str] | None = None) -> int:
    """Compact behind everybody else and print what was done as JSON; 1, and a line that says why, when it failed."""
    parser = argparse.ArgumentParser(prog="python -m analytics.lake.compact")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--lake", required=True)
    arguments = parser.parse_args(argv)
    os.nice(_LAST_OF_ALL)
    try:
        done = compact(Place(url=arguments.lake), arguments.state_dir)
    except (CompactionRunningError, MissingPackageError, NoLakeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    return 0


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
    if not Lake(store).is_there():
        message = f"there is no lake in {store}: name it with --lake, or start `turnout serve` once"
        raise NoLakeError(message)
    journal = state_dir / "journal"
    is_shipped_here = (journal / LOCK).exists() and not store.is_far
    needed = needed_here(journal) if is_shipped_here else needed_elsewhere(wall_clock)
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


if __name__ == "__main__":
    sys.exit(main())
