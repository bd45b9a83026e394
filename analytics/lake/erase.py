"""Erase from one lake whoever is to be erased; `python -m analytics.lake.erase` is the console's.

It takes its turn with compaction, by the same lock: a row that is being moved is nowhere twice.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from analytics.journal.frame import UnreadableSegmentError
from analytics.journal.reader import SegmentReader
from analytics.journal.segment import segments
from analytics.lake.alone import CompactionRunningError, alone, opened
from analytics.lake.erasing import Erasing
from analytics.lake.erasure import ERASURES, Erasures, ended, is_last_look, waiting
from analytics.lake.host import host_name
from analytics.lake.layout import Lake
from analytics.lake.place import MissingPackageError, Place
from analytics.lake.shipper import wall_clock
from analytics.lake.store import Store
from analytics.lake.verify import NoLakeError

WAIT_S = 600.0
"""How long a compaction that is running is waited for."""
_AGAIN_S = 0.2
_NICE = 10


def erase_standing(
    name: str, store: Store, scratch: Path, state_dir: Path, clock: Callable[[], int], *, is_stopped: bool = False
) -> int:
    """Look for everybody who is still to be erased, and return how many files were written anew. Hold the lock.

    `name` is the lake's, `scratch` a folder for what does not fit into memory. `is_stopped`: no worker of
    `state_dir` runs, and nothing is under way but what lies in its journal.

    Raises:
        OSError: the disk, the memory or the store refuses; the next look goes on from there.
    """
    erasures = Erasures(state_dir / ERASURES)
    standing = [one for one in erasures.standing() if one.lake == name]
    if not standing:
        return 0
    store.resume(lambda _: False)
    is_elsewhere, files = store.is_far or _is_shared(Lake(store), state_dir / "journal"), 0
    erasing = Erasing(store, scratch)
    try:
        for erasure in standing:
            now_at, waits = clock(), _with_frames(state_dir / "journal")
            begun = waiting(erasure, waits, now_at, is_stopped=is_stopped)
            is_last = is_last_look(begun, waits, now_at, is_elsewhere=is_elsewhere)
            looked = erasing.look(begun, erasures.keep, is_whole=is_last or begun.looked_at is None)
            files += looked.files - begun.files
            erasures.keep(ended(looked, clock()) if is_last else replace(looked, looked_at=now_at))
    finally:
        erasing.close()
    return files


def _with_frames(journal: Path) -> list[str]:
    """Return the segments in which anything stands: an idle worker keeps an empty one."""
    return [one.file_name for one in segments(journal) if _has_frames(journal / one.file_name)]


def _has_frames(segment: Path) -> bool:
    try:
        with SegmentReader(segment) as reader:
            return next(reader.frames(), None) is not None or reader.undecodable > 0
    except FileNotFoundError:
        return False
    except UnreadableSegmentError:
        return True


def erase(place: Place, state_dir: Path, *, is_stopped: bool = False, wait_s: float = WAIT_S) -> int:
    """Look through a lake once for everybody who is still to be erased. It blocks, also while the lake is compacted.

    Raises:
        CompactionRunningError: it is being compacted for longer than `wait_s`.
        NoLakeError, MissingPackageError, OSError: as `compact` does.
    """
    beside, store = opened(place, state_dir)
    give_up_s = time.monotonic() + wait_s
    while True:
        try:
            with alone(beside):
                return erase_standing(place.name, store, beside, state_dir, wall_clock, is_stopped=is_stopped)
        except CompactionRunningError:
            if time.monotonic() >= give_up_s:
                raise
            time.sleep(_AGAIN_S)


def _is_shared(lake: Lake, journal: Path) -> bool:
    """Tell whether other hosts write this lake too."""
    own = host_name(journal)
    return any(beat.host is not None and beat.host != own for beat in lake.all_heartbeats())


def main(argv: Sequence[str] | None = None) -> int:
    """Look once; 0 when all was looked through, else 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m analytics.lake.erase")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--lake", required=True)
    arguments = parser.parse_args(argv)
    os.nice(_NICE)
    try:
        erase(Place(url=arguments.lake), arguments.state_dir)
    except (CompactionRunningError, MissingPackageError, NoLakeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
