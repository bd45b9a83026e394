"""A fleet's limits as a host holds them: a lease in a row of its own, which the host's workers share exactly. Pure.

Law: of each limit the host's lessee alone writes the lease, and each worker its own row, so that what all workers took
is never more than what the host was granted. Who finds the lease used up asks for more and is told by the round of
conversations that began after it asked: what that round did not bring is not there.
"""

from __future__ import annotations

from gateway.proxy.limits import BEAT, HELD, ROW_CELLS, SPENT, Cells, Sheet
from gateway.proxy.purse import Purse
from rollout.lease import Kind

GRANTED, OF_DAY, ROUND, RETRY_NS = range(4)
"""The lease: slots, or tokens or nano-USD granted so far; the day of the nano-USD; how many beginnings and ends of
conversations there were; until when there is nothing to ask for, by the host's monotonic clock."""
WANTED = BEAT
"""In a worker's row: how much its requests wait for. It ends with its worker."""
_SECOND_NS = 1e9
_MINUTE_S = 60


class LeasedSheet(Sheet):
    """One limit's cells and, in the row `lease` beyond those of all workers, what the host holds of it."""

    __slots__ = ("_lease_at",)

    def __init__(self, cells: Cells, row: int, rows: Cells, lease: int) -> None:
        super().__init__(cells, row, rows)
        self._lease_at = lease * ROW_CELLS

    def part(self, limit: int) -> int:
        """Return what of a limit is granted here: slots, or nano-USD of the lease's day."""
        return min(limit, self._cells[self._lease_at + GRANTED])

    def lease(self, cell: int) -> int:
        """Return what the lease says."""
        return self._cells[self._lease_at + cell]

    def write_lease(self, cell: int, value: int) -> None:
        """Say it, as the host's lessee."""
        self._cells[self._lease_at + cell] = value

    def next_round(self) -> int:
        """Return what `ROUND` will be at least when a round has ended that begins after now."""
        now = self.lease(ROUND)
        return now + 2 + now % 2

    @property
    def wanted(self) -> int:
        """Return what all workers' requests wait for."""
        return sum(self.column(WANTED))


class LeasedBucket:
    """The tokens that the host was granted of a rate and did not spend yet; each is one request."""

    __slots__ = ("_spent", "sheet")

    def __init__(self, sheet: LeasedSheet) -> None:
        self.sheet = sheet
        self._spent = sheet.own(SPENT)

    def take(self, rate: int, now_ns: int) -> float:
        """Take one token and return 0.0, or take none and return the seconds until there may be one."""
        if self.sheet.claim(SPENT, self._spent, self.sheet.lease(GRANTED)):
            self._spent += 1
            return 0.0
        wait_s = (self.sheet.lease(RETRY_NS) - now_ns) / _SECOND_NS
        return wait_s if 0 < wait_s <= _MINUTE_S else _MINUTE_S / rate


def used_of(sheet: LeasedSheet, kind: Kind, day: int) -> int:
    """Return what all workers use of a lease: slots, tokens ever spent, or nano-USD charged on the lease's day."""
    if kind == "cost":
        return Purse(sheet).charged(day)
    return sum(sheet.column(HELD if kind == "slots" else SPENT))
