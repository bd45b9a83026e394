"""Read each frame of this host's journals once, as soon as it is there, whatever becomes of the lake.

The law: how far it has come is kept in a file, so that a shipper that starts again counts nothing twice. A segment that
has a writer is held open until its end, even when it was shipped and removed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from analytics.journal.frame import UnreadableSegmentError
from analytics.journal.reader import SegmentReader
from analytics.journal.segment import SegmentName, is_live
from analytics.record import Frame

_MOST_KEPT = 1_000


class Place(msgspec.Struct):
    """How far a segment was read: `end` is the offset behind the last frame; `is_whole`: nothing more will come."""

    start: int
    end: int
    is_whole: bool = False


class _Held:
    """A segment that is read: the open file, and which file that is."""

    def __init__(self, path: Path) -> None:
        self.reader = SegmentReader(path)
        self.inode = path.stat().st_ino

    def close(self) -> None:
        self.reader.__exit__(None, None, None)


class Tail:
    """Hands each frame to `take`, with its segment; `positions` is the file that remembers. `troubles` counts failures.

    One thread at a time may look.
    """

    def __init__(self, journal: Path, positions: Path, take: Callable[[Frame, SegmentName], None]) -> None:
        self._journal, self._positions, self._take = journal, positions, take
        self._held: dict[SegmentName, _Held] = {}
        self._kept = _read_positions(positions)
        """The ends of segments that are not among the places, by file name."""
        self.places: dict[SegmentName, Place] = {}
        self.troubles = 0

    def look(self, names: Iterable[SegmentName]) -> None:
        """Read what is new in these segments, which are all there are."""
        present = set(names)
        before = self._ends()
        for name in sorted(self._held.keys() - present):
            self._read_on(name, self._held[name], is_last=True)
        for name in self.places.keys() - present:
            self._remember(name, self.places.pop(name))
        for name in sorted(present):
            self._advance(name)
        if (ends := self._ends()) != before:
            self._keep(ends)

    def close(self) -> None:
        """Let go of all segments."""
        for held in self._held.values():
            held.close()
        self._held.clear()

    def _remember(self, name: SegmentName, place: Place) -> None:
        """Keep the end of a segment that is gone for a while: its writer may put it back."""
        self._kept[name.file_name] = place.end
        while len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def _advance(self, name: SegmentName) -> None:
        place = self.places.get(name)
        if place is not None and place.is_whole:
            return
        path = self._journal / name.file_name
        is_last = not is_live(path)
        try:
            held = self._hold(name, path)
        except FileNotFoundError:
            return
        except UnreadableSegmentError:
            self.places[name] = Place(start=0, end=0, is_whole=True)
            return
        except OSError:
            self.troubles += 1
            return
        self._read_on(name, held, is_last=is_last)

    def _hold(self, name: SegmentName, path: Path) -> _Held:
        held = self._held.get(name)
        if held is not None and held.inode != path.stat().st_ino:
            # A segment that was removed is written anew under its name, with the same frames at the same places.
            self._held.pop(name).close()
            held = None
        if held is None:
            held = self._held[name] = _Held(path)
            start = held.reader.offset
            self.places.setdefault(name, Place(start=start, end=max(self._kept.pop(name.file_name, start), start)))
        return held

    def _read_on(self, name: SegmentName, held: _Held, *, is_last: bool) -> None:
        place = self.places[name]
        try:
            for end, frame in held.reader.frames(place.end):
                place.end = end
                self._take(frame, name)
            place.end = held.reader.offset
        except OSError:
            self.troubles += 1
        place.is_whole = is_last
        if is_last:
            self._held.pop(name).close()

    def _ends(self) -> dict[str, int]:
        return {name.file_name: place.end for name, place in self.places.items()}

    def _keep(self, ends: dict[str, int]) -> None:
        draft = self._positions.with_name(self._positions.name + ".draft")
        try:
            draft.write_bytes(msgspec.json.encode(ends))
            draft.replace(self._positions)
        except OSError:
            self.troubles += 1
            with suppress(OSError):
                draft.unlink()


def _read_positions(path: Path) -> dict[str, int]:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    return {}
