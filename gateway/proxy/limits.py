"""The arithmetic of admission: slots with a line, a token bucket, bytes held; workers share the first two. Pure.

Law: what was taken is given back once, and nobody holds more than the limit that was in force when it was taken.

Of a limit that several workers share, each writes a row of its own and reads the rows of all. A claim is published
first and counted afterwards with everybody's: of all claims that hold, the last one published has counted the others,
so that together they never exceed the limit, however reads and writes fall between each other. Two that claim the last
place in the same moment may both withdraw; each tries again a few times before it takes the place for taken.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, Protocol, TypeVar, overload

Ticket = TypeVar("Ticket", bound=Hashable)

ROW_CELLS = 8
"""Of eight bytes each: a cache line, which one processor writes and the others read."""
HELD, WAITING, ELDEST, BEAT, SPENT, FLOOR = range(6)
"""A worker's row: slots, requests in line, since when its first one waits, when it last looked; see `Bucket`."""
MOMENTARY = (HELD, WAITING, ELDEST, BEAT)
"""What ends with its worker; what was spent stays spent."""
STALE_NS = 100_000_000
"""A worker that did not look after its line for so long is stalled or gone, and no longer goes first."""
TRIES = 4
"""For the last place, of two that claim it in the same moment."""
_MINUTE_NS = 60_000_000_000
_SECOND_NS = 1e9


class Cells(Protocol):
    """Whole numbers of eight bytes that several processes may see, each stored and loaded at once."""

    @overload
    def __getitem__(self, at: int, /) -> int: ...
    @overload
    def __getitem__(self, at: slice, /) -> Iterable[int]: ...
    def __getitem__(self, at: int | slice, /) -> int | Iterable[int]:
        """Return one or some of them."""
        ...

    def __setitem__(self, at: int, value: int, /) -> None:
        """Store one."""
        ...


class Sheet:
    """One limit's cells: `rows[0]` rows of `ROW_CELLS`, of which this worker writes `row`.

    `sharers` is 1 where all workers see the sheet; a worker that keeps a sheet for itself has that part of a limit.
    """

    __slots__ = ("_at", "_cells", "_rows", "_sharers")

    def __init__(self, cells: Cells, row: int, rows: Cells, *, sharers: int = 1) -> None:
        self._cells = cells
        self._at = row * ROW_CELLS
        self._rows = rows
        self._sharers = sharers

    @classmethod
    def private(cls, sharers: int = 1) -> Sheet:
        """Return a sheet that no other worker sees."""
        return cls([0] * ROW_CELLS, 0, [1], sharers=sharers)

    def part(self, limit: int) -> int:
        """Return what of a limit is counted here; rounded up, so that it is never nothing."""
        return -(-limit // self._sharers)

    def column(self, cell: int) -> Iterable[int]:
        """Return what all workers have in one of their cells."""
        return self._cells[cell : self._rows[0] * ROW_CELLS : ROW_CELLS]

    def own(self, cell: int) -> int:
        """Return what this worker has there."""
        return self._cells[self._at + cell]

    def write(self, cell: int, value: int) -> None:
        """Publish a value of this worker."""
        self._cells[self._at + cell] = value

    def claim(self, cell: int, mine: int, limit: int) -> bool:
        """Publish `mine + 1` there, unless all workers' values would be more than the limit with it."""
        for _ in range(TRIES):
            if sum(self.column(cell)) >= limit:
                return False
            self.write(cell, mine + 1)
            if sum(self.column(cell)) <= limit:
                return True
            self.write(cell, mine)
        return False


class Slots(Generic[Ticket]):
    """So many at once; who comes later waits in line, first come, first served, until the line is full.

    Limits come with every call, since a new configuration may have changed them. A slot that another worker gave back
    is seen by whoever calls `admit`. `now_ns` is the host's monotonic clock.
    """

    __slots__ = ("_limit", "_line", "sheet", "taken")

    def __init__(self, sheet: Sheet | None = None) -> None:
        self.taken = 0
        self.sheet = sheet or Sheet.private()
        self._limit = 0
        self._line: dict[Ticket, int] = {}

    @property
    def waiting(self) -> int:
        """Return how many wait at this worker."""
        return len(self._line)

    def take(self, limit: int, now_ns: int) -> bool:
        """Take a slot if one is free and nobody waits for it, here or at another worker."""
        self._limit = self.sheet.part(limit)
        if self._line or (any(self.sheet.column(WAITING)) and self._first_since(now_ns) is not None):
            return False
        return self._claim()

    def line_up(self, ticket: Ticket, room: int, now_ns: int) -> bool:
        """Wait in line, unless `room` others do so already."""
        if not self.sheet.claim(WAITING, len(self._line), self.sheet.part(room)):
            return False
        self._line[ticket] = now_ns
        if len(self._line) == 1:
            self.sheet.write(BEAT, now_ns)
            self.sheet.write(ELDEST, now_ns)
        return True

    def withdraw(self, ticket: Ticket) -> bool:
        """Leave the line; False when it was let in meanwhile, and so has a slot to give back."""
        if ticket not in self._line:
            return False
        self._leave(ticket)
        return True

    def give_back(self, now_ns: int) -> list[Ticket]:
        """Give one slot back, and return those in line who have one now."""
        self.taken -= 1
        self.sheet.write(HELD, self.taken)
        return self.admit(now_ns)

    def admit(self, now_ns: int) -> list[Ticket]:
        """Return those in line who have a slot now: as many as are free, unless another worker's have waited longer."""
        admitted: list[Ticket] = []
        if self._line:
            self.sheet.write(BEAT, now_ns)
        while self._line and self._is_first(now_ns) and self._claim():
            ticket = next(iter(self._line))
            self._leave(ticket)
            admitted.append(ticket)
        return admitted

    def _claim(self) -> bool:
        if not self.sheet.claim(HELD, self.taken, self._limit):
            return False
        self.taken += 1
        return True

    def _leave(self, ticket: Ticket) -> None:
        del self._line[ticket]
        self.sheet.write(ELDEST, next(iter(self._line.values()), 0))
        self.sheet.write(WAITING, len(self._line))

    def _is_first(self, now_ns: int) -> bool:
        first_since = self._first_since(now_ns)
        return first_since is None or next(iter(self._line.values())) <= first_since

    def _first_since(self, now_ns: int) -> int | None:
        """Return since when the first of all waits, of all workers that look after their lines."""
        beats = zip(self.sheet.column(ELDEST), self.sheet.column(BEAT), strict=False)
        return min((eldest for eldest, beat in beats if eldest and abs(now_ns - beat) < STALE_NS), default=None)


class Bucket:
    """A token bucket: full at first, refilled evenly. In any `t` seconds it gives at most `rate * (1 + t / 60)`.

    It holds a minute, of which a request costs `1 / rate`; a worker publishes the sum of all that it spent. The bucket
    has been full at the moment when its content, reckoned backwards, is least: that is just before somebody spends, and
    who spends publishes this `FLOOR`, spent by all + a minute - now. The least of all floors + now is what all together
    may have spent (the generic cell rate algorithm, with one writer for each number).
    """

    __slots__ = ("_floor", "_spent", "sheet")

    def __init__(self, sheet: Sheet | None = None) -> None:
        self.sheet = sheet or Sheet.private()
        self._spent = self.sheet.own(SPENT)
        self._floor = self.sheet.own(FLOOR)

    def take(self, rate: int, now_ns: int) -> float:
        """Take one token and return 0.0, or take none and return the seconds until there is one.

        `rate` is requests per minute; `now_ns` is the host's monotonic clock.
        """
        rate = self.sheet.part(rate)
        cost = -(-_MINUTE_NS // rate)
        for _ in range(TRIES):
            spent = sum(self.sheet.column(SPENT))
            level = self._level(spent, now_ns, rate * cost)
            if level < cost:
                return (cost - level) / _SECOND_NS
            self.sheet.write(SPENT, self._spent + cost)
            if sum(self.sheet.column(SPENT)) <= spent + level:
                self._spent += cost
                return 0.0
            self.sheet.write(SPENT, self._spent)
        return cost / _SECOND_NS

    def _level(self, spent: int, now_ns: int, full: int) -> int:
        """Return what is in the bucket, and publish the floor where this moment's is the least.

        0 is no floor yet; one from before a minute's debt, which nobody can have, is of a clock that began anew.
        """
        here = spent + full - now_ns
        if not self._floor or not -full <= self._floor + now_ns - spent <= full:
            self._floor = here or 1
            self.sheet.write(FLOOR, self._floor)
        known = (floor for floor in self.sheet.column(FLOOR) if floor and floor + now_ns - spent >= -full)
        return min(here, *known) + now_ns - spent


class Room:
    """Bytes of request bodies that one worker holds at once."""

    __slots__ = ("held_bytes", "limit_bytes")

    def __init__(self, limit_bytes: int = 0) -> None:
        self.held_bytes = 0
        self.limit_bytes = limit_bytes

    def take(self, size_bytes: int) -> bool:
        """Count these bytes in; False, and nothing counted, when they do not fit."""
        if self.held_bytes + size_bytes > self.limit_bytes:
            return False
        self.held_bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """Count them out again."""
        self.held_bytes -= size_bytes
