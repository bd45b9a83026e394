"""How far the lake is behind the journal: bytes that wait, and since when the oldest of them does. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from analytics.journal.segment import SegmentName

_MOST_MARKS = 256
"""Of one segment. What comes after so many counts as old as the last of them: rather too old than too young."""


class _Waiting(msgspec.Struct):
    """A segment's bytes: how far read and sealed, and where and when what still waits had come (microseconds, UTC)."""

    read_end: int
    sealed_end: int
    marks: list[tuple[int, int]]


class Lag:
    """What of each segment was read and is not sealed yet."""

    def __init__(self) -> None:
        self._segments: dict[SegmentName, _Waiting] = {}

    def read(self, name: SegmentName, start: int, end: int, came_at: int) -> None:
        """Note that bytes `[start, end)` were found, the first of which came at this moment."""
        one = self._segments.get(name)
        if one is None:
            one = self._segments[name] = _Waiting(read_end=end, sealed_end=start, marks=[])
        one.read_end = max(one.read_end, end)
        if end <= one.sealed_end:
            return
        if len(one.marks) >= _MOST_MARKS:
            came_at = one.marks.pop()[1]
        one.marks.append((end, came_at))

    def sealed(self, name: SegmentName, end: int) -> None:
        """Note that all bytes before `end` are in the lake."""
        one = self._segments.get(name)
        if one is not None:
            one.sealed_end = max(one.sealed_end, end)
            one.marks = [mark for mark in one.marks if mark[0] > end]

    def keep(self, present: Collection[SegmentName]) -> None:
        """Forget segments that are gone: these were settled."""
        for name in self._segments.keys() - set(present):
            del self._segments[name]

    @property
    def waiting_bytes(self) -> int:
        """Return how many bytes wait."""
        return sum(max(one.read_end - one.sealed_end, 0) for one in self._segments.values())

    @property
    def oldest_at(self) -> int | None:
        """Return when the oldest of what waits came; None if nothing does."""
        return min((one.marks[0][1] for one in self._segments.values() if one.marks), default=None)
