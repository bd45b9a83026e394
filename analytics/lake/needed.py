"""Which of the shipper's files must keep their names, though their rows are elsewhere: its progress is read from them.

Where the journal is at hand, those of whose segments one still lies in it. A journal on another host cannot be looked
into: there a file is kept for hours, which a segment survives only while the store is away. Should it have
survived, its records come once more, and are known by their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from analytics.journal.segment import segments
from analytics.lake.layout import INCOMING

Needed = Callable[[Mapping[str, int]], set[str]]
"""Takes files and when each was replaced (microseconds since 1970 UTC), and returns those that must stay."""

ELSEWHERE_S = 6 * 3600
_INTERRUPTED = "-interrupted-"


def needed_here(journal: Path) -> Needed:
    """Return what knows the files that a shipper of this journal needs."""

    def needed(replaced: Mapping[str, int]) -> set[str]:
        waiting = {Path(one.file_name).stem for one in segments(journal)}
        boots = {stem.rpartition("-")[0] for stem in waiting}
        return {name for name in replaced if _segment(name) in waiting or _boot(name) in boots}

    return needed


def needed_elsewhere(clock: Callable[[], int]) -> Needed:
    """Return what guesses the files that shippers of other hosts need; `clock` gives microseconds since 1970 UTC."""

    def needed(replaced: Mapping[str, int]) -> set[str]:
        since = clock() - ELSEWHERE_S * 1_000_000
        return {name for name, at in replaced.items() if name.startswith(INCOMING) and at > since}

    return needed


def _segment(name: str) -> str:
    """Return the segment of which a file has some bytes, without its suffix."""
    return Path(name).stem.rsplit("-", 2)[0]


def _boot(name: str) -> str:
    """Return the worker and boot of a file of interrupted requests."""
    return Path(name).stem.partition(_INTERRUPTED)[0] if _INTERRUPTED in name else ""
