"""How requests wait for more of a fleet's limit than their host holds: a word to its lessee, and a short wait.

Law: nobody waits longer than `LONGEST_S`, nobody overtakes at this worker, and where there is nothing to be had nobody
waits at all. Whoever is let in has taken its part in the same moment.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from gateway.proxy.leased import RETRY_NS, ROUND, WANTED, LeasedSheet
from gateway.proxy.limits import Sheet

LONGEST_S = 0.3
"""Longer than Redis may take to answer (0.2 s) and a round that was under way already."""
LOOK_S = 0.002
_SECOND_NS = 1_000_000_000
_LONGEST_NS = round(LONGEST_S * _SECOND_NS)


class LeaseBoard(Protocol):
    """Where a host's workers share leases."""

    def leased(self, name: str) -> LeasedSheet | None:
        """Return a limit's cells; None when they cannot be shared now."""
        ...

    def poke(self) -> None:
        """Tell the host's lessee that more is wanted."""
        ...


class _Waiter(msgspec.Struct, frozen=True, kw_only=True):
    """A request that waits: for `amount`, which `take` takes, until the lease's round is `last_round`."""

    future: asyncio.Future[bool]
    amount: int
    take: Callable[[], bool]
    last_round: int
    deadline_ns: int


class Leases:
    """One worker's requests that wait, for each limit in their order."""

    def __init__(self, board: LeaseBoard, now_ns: Callable[[], int]) -> None:
        self._board = board
        self._now_ns = now_ns
        self._lines: dict[LeasedSheet, deque[_Waiter]] = {}
        self._looking: asyncio.TimerHandle | None = None

    def sheet(self, name: str) -> LeasedSheet | None:
        """Return a limit's cells; None when they cannot be shared now."""
        return self._board.leased(name)

    async def more(self, sheet: Sheet, amount: int, take: Callable[[], bool]) -> bool:
        """Wait until `take` takes this amount; False as soon as there is no more to be had, or it took too long."""
        if not isinstance(sheet, LeasedSheet) or self._now_ns() < sheet.lease(RETRY_NS):
            return False
        loop = asyncio.get_running_loop()
        waiter = _Waiter(
            future=loop.create_future(),
            amount=amount,
            take=take,
            last_round=sheet.next_round(),
            deadline_ns=self._now_ns() + _LONGEST_NS,
        )
        line = self._lines.setdefault(sheet, deque())
        line.append(waiter)
        _publish(sheet, line)
        self._board.poke()
        if self._looking is None:
            self._looking = loop.call_later(LOOK_S, self._look)
        return await waiter.future

    def _look(self) -> None:
        """Let in who can take its part, and send away who need not wait longer; again while anybody waits."""
        for sheet, line in list(self._lines.items()):
            self._move_up(sheet, line)
            _publish(sheet, line)
            if not line:
                del self._lines[sheet]
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look) if self._lines else None

    def _move_up(self, sheet: LeasedSheet, line: deque[_Waiter]) -> None:
        while line:
            first = line[0]
            if not first.future.done():
                is_over = sheet.lease(ROUND) >= first.last_round or self._now_ns() >= first.deadline_ns
                if not (is_let_in := first.take()) and not is_over:
                    return
                first.future.set_result(is_let_in)
            line.popleft()


def _publish(sheet: LeasedSheet, line: deque[_Waiter]) -> None:
    sheet.write(WANTED, sum(one.amount for one in line if not one.future.done()))
