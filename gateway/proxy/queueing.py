"""Who may go on, who waits and who is refused, by the limits that a host's workers share. What waits is a request.

Law: a slot that was taken stands in the request's entry from the same moment on, and `leave` empties the entry.
A request takes its deployment's slot before the host's: those who wait for a slow model hold nobody else up.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Protocol

from gateway.errors import ShedError
from gateway.proxy.allowances import Allowances
from gateway.proxy.caller import Connection
from gateway.proxy.entry import Clock, Entry, Ticket
from gateway.proxy.leases import LeaseBoard, Leases
from gateway.proxy.limits import Room, Sheet, Slots
from gateway.proxy.snapshot import Deployment
from gateway.settings.snapshot import Admission

LOOK_S = 0.002
"""How often a worker with a line looks whether another worker gave a slot back: soon, beside what an answer takes."""
SWEEP_S = 0.5
_SECOND_NS = 1e9

_log = logging.getLogger("turnout.proxy")


class Board(LeaseBoard, Protocol):
    """Where the workers of a host share their limits."""

    def sheet(self, name: str) -> Sheet | None:
        """Return a limit's cells; None when they cannot be shared now."""
        ...

    def sweep(self) -> int:
        """Give back what workers hold that are gone, and return how many slots.

        Raises:
            OSError: it cannot be found out now.
        """
        ...


class Throttle:
    """One worker's slots and lines, on a board that all `workers` of this host share; and its applications' allowances.

    What cannot be shared is divided: this worker then keeps its part of the limit, rounded up. `today` gives seconds
    since 1970, UTC. Of a fleet, `gateways` is how many hosts it has at most; its applications' limits are leased.
    """

    def __init__(
        self,
        board: Board | None = None,
        workers: int = 1,
        clock: Clock = time.monotonic,
        today: Clock = time.time,
        gateways: int = 0,
    ) -> None:
        self._board = board
        self._workers = workers
        self._clock = clock
        self._slots: dict[str, Slots[Ticket]] = {}
        self._sheets: dict[str, Sheet] = {}
        self._lines: set[Slots[Ticket]] = set()
        self._looking: asyncio.TimerHandle | None = None
        self._room = Room()
        leases = Leases(board, self._now_ns) if board is not None and gateways else None
        sheet_of = self._part if gateways else self._sheet
        self._gateways = gateways
        self.allowances = Allowances(sheet_of, self._now_ns, today, leases)

    async def tend(self) -> None:
        """Give back what was held by workers that are gone, twice a second, until cancelled; say each trouble once."""
        told = ""
        while self._board is not None:
            reason = _swept(self._board)
            if reason and reason != told:
                _log.warning("could not look for workers that are gone", extra={"reason": reason})
            told = reason
            await asyncio.sleep(SWEEP_S)

    def leave_room(self, connection: Connection) -> None:
        """Give back the room that a body took."""
        self._room.give_back(connection.buffered_bytes)

    def room(self, admission: Admission) -> Room:
        """Return where bodies are counted into."""
        self._room.limit_bytes = admission.max_buffered_bytes
        return self._room

    async def enter(self, deployment: Deployment, admission: Admission, entry: Entry) -> None:
        """Take the slots that this request needs, waiting in line for them if need be; the host's once alone.

        Raises:
            ShedError: the line is full, or the wait was too long.
        """
        deadline_at = asyncio.get_running_loop().time() + admission.queue_timeout_s
        if (limit := deployment.limits.max_concurrent) is not None:
            await self._take(f"model:{deployment.model}", limit, admission.queue, deadline_at, entry)
        if admission.max_concurrent is not None and not entry.exchange.is_dispatched:
            await self._take("host", admission.max_concurrent, admission.queue, deadline_at, entry)

    def make_way(self, deployment: Deployment, entry: Entry) -> None:
        """Give back the slot of a deployment that the request has given up."""
        slots = self._slots.get(f"model:{deployment.model}")
        if slots is not None and slots in entry.held:
            entry.held = tuple(held for held in entry.held if held is not slots)
            _let_in(slots.give_back(self._now_ns()))

    def leave(self, entry: Entry, connection: Connection) -> None:
        """Give back whatever the request holds, and let in who may go on now."""
        self._room.give_back(connection.buffered_bytes)
        if entry.held:
            held, entry.held = entry.held, ()
            for one in held:
                _let_in(one.give_back(self._now_ns()))

    async def _take(self, name: str, limit: int, room: int, deadline_at: float, entry: Entry) -> None:
        slots = self._slots_of(name)
        if not slots.take(limit, self._now_ns()):
            await self._wait(slots, room, deadline_at)
        entry.held += (slots,)

    async def _wait(self, slots: Slots[Ticket], room: int, deadline_at: float) -> None:
        ticket: Ticket = asyncio.get_running_loop().create_future()
        if not slots.line_up(ticket, room, self._now_ns()):
            raise ShedError(_BUSY, error_class="queue_full")
        self._lines.add(slots)
        if self._looking is None:
            self._look()
        try:
            async with asyncio.timeout_at(deadline_at):
                await ticket
        except BaseException as error:
            if not slots.withdraw(ticket):
                _let_in(slots.give_back(self._now_ns()))
            if isinstance(error, TimeoutError):
                raise ShedError(_BUSY, error_class="queue_timeout") from None
            raise

    def _look(self) -> None:
        """Let in who may go on because other workers gave slots back; again and again while there are lines."""
        for slots in self._lines:
            _let_in(slots.admit(self._now_ns()))
        self._lines = {slots for slots in self._lines if slots.waiting}
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look) if self._lines else None

    def _slots_of(self, name: str) -> Slots[Ticket]:
        if (slots := self._slots.get(name)) is None:
            slots = self._slots[name] = Slots(self._sheet(name))
        return slots

    def _sheet(self, name: str) -> Sheet:
        if name not in self._sheets:
            shared = self._board.sheet(name) if self._board is not None else None
            self._sheets[name] = shared or Sheet.private(self._workers)
        return self._sheets[name]

    def _part(self, name: str) -> Sheet:
        """Return a sheet of this worker's own part of a fleet's limit."""
        _log.error("a limit is not leased: this worker keeps its part of it", extra={"limit": name})
        return Sheet.private(self._workers * self._gateways)

    def _now_ns(self) -> int:
        return int(self._clock() * _SECOND_NS)


def _let_in(tickets: Iterable[Ticket]) -> None:
    for ticket in tickets:
        if not ticket.done():
            ticket.set_result(None)


_BUSY = "The gateway is at its limit of requests at once; try again in a moment."


def _swept(board: Board) -> str:
    """Clear the rows of workers that are gone; return what is in the way, or nothing."""
    try:
        board.sweep()
    except OSError as error:
        return str(error) or type(error).__name__
    return ""
