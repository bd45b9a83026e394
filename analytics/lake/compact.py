"""One compaction of one lake, by whoever asks for it; `python -m analytics.lake.compact` is the console's.

Whoever is still to be erased is looked for first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from analytics.lake.alone import CompactionRunningError, alone, opened
from analytics.lake.aside import step_back
from analytics.lake.compaction import USUAL, Compacted, Compaction
from analytics.lake.erase import erase_standing
from analytics.lake.needed import needed_elsewhere, needed_here
from analytics.lake.place import MissingPackageError, Place
from analytics.lake.shipper import LOCK, wall_clock
from analytics.lake.verify import NoLakeError


def main(argv: Sequence[str] | None = None) -> int:
    """Compact behind everybody else and print what was done as JSON; 1, and a line that says why, when it failed."""
    parser = argparse.ArgumentParser(prog="python -m analytics.lake.compact")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--retention-days", type=int, help="let go of what is older; default: keep all")
    arguments = parser.parse_args(argv)
    step_back()
    try:
        done = compact(Place(url=arguments.lake), arguments.state_dir, arguments.retention_days)
    except (CompactionRunningError, MissingPackageError, NoLakeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    return 0


def compact(place: Place, state_dir: Path, retention_days: int | None = None) -> Compacted:
    """Compact a lake that the workers of `state_dir` write to, and return what was done. It blocks.

    Requests and feedback of days that are over for `retention_days` are let go of.

    Raises:
        CompactionRunningError: another one compacts it.
        NoLakeError: there is none.
        MissingPackageError: see `Place.open`.
        OSError: the disk, the memory or the store refuses; the next one goes on from there.
    """
    beside, store = opened(place, state_dir)
    journal = state_dir / "journal"
    is_shipped_here = (journal / LOCK).exists() and not store.is_far
    needed = needed_here(journal) if is_shipped_here else needed_elsewhere(wall_clock)
    with alone(beside):
        erase_standing(place.name, store, beside, state_dir, wall_clock)
        measures = replace(USUAL, retention_days=retention_days)
        compaction = Compaction(store, beside, wall_clock, needed, measures)
        try:
            return compaction.run()
        finally:
            compaction.close()


if __name__ == "__main__":
    sys.exit(main())
