"""When a request is settled: the rules, for the shipper and for whoever reads a journal before it does.

A request is settled by its record. One that was opened and has no record is open, as long as its worker lives and its
time is not over; after that it is interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from analytics.journal.segment import SegmentName, is_live, segments
from analytics.record import Opened

Boot = tuple[str, str]
"""A worker's name, and which start of it."""

GRACE_S = 60.0
"""How long after its total timeout an unfinished request of a living worker is given up."""
_MICROSECONDS = 1_000_000


class Unclosed(msgspec.Struct, frozen=True):
    """A request that was opened and not closed: where, and when (monotonic seconds) it is given up."""

    opened: Opened
    number: int
    given_up_s: float


class Openings:
    """The requests of one boot that were opened and not closed."""

    def __init__(self) -> None:
        self._unclosed: dict[int, Unclosed] = {}

    @property
    def first_seq(self) -> int | None:
        """Return the lowest number of them; None where there is none."""
        return min(self._unclosed, default=None)

    @property
    def first_segment(self) -> float:
        """Return the lowest number of a segment in which one of them was opened; infinite where there is none."""
        return min((one.number for one in self._unclosed.values()), default=math.inf)

    def open(self, opened: Opened, number: int, now_s: float) -> None:
        """Note that a request was opened, in a segment of this number."""
        self._unclosed[opened.seq] = Unclosed(opened, number, now_s + _patience_s(opened))

    def close(self, seq: int) -> None:
        """Note that a request was closed, or given up."""
        self._unclosed.pop(seq, None)

    def overdue(self, *, now_s: float, is_dead: bool) -> Sequence[Unclosed]:
        """Return those that will never be closed, by their numbers: all of a dead worker's."""
        until_s = math.inf if is_dead else now_s
        overdue = [one for one in self._unclosed.values() if one.given_up_s <= until_s]
        return sorted(overdue, key=lambda one: one.opened.seq)


def by_boot(names: Iterable[SegmentName]) -> list[tuple[Boot, list[SegmentName]]]:
    """Return the segments of each boot, in their order."""
    return [(boot, list(own)) for boot, own in groupby(names, key=lambda name: (name.worker, name.boot))]


def dead_boots(journal: Path, names: Iterable[SegmentName]) -> set[Boot]:
    """Return the boots whose workers are gone: no segment of theirs is locked, and no new one appeared."""
    unlocked = {boot: own for boot, own in by_boot(names) if not any(is_live(journal / name.file_name) for name in own)}
    again = dict(by_boot(segments(journal)))
    return {boot for boot, own in unlocked.items() if again.get(boot) == own}


def _patience_s(opened: Opened) -> float:
    """Return how long to wait for a close: measured here by a monotonic clock, so that a wall clock may jump."""
    if opened.deadline_at is None:
        return math.inf
    return max(opened.deadline_at - opened.started_at, 0) / _MICROSECONDS + GRACE_S
