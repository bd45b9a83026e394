"""Who may go on, who waits and who is refused: one worker's part of the host's limits. What waits here is a request.

Law: a slot that was taken stands in the request's entry from the same moment on, and `leave` empties the entry.
A request takes its deployment's slot before the host's: those who wait for a slow model hold nobody else up.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

from gateway.errors import RateLimitedError, ShedError
from gateway.proxy.caller import Connection
from gateway.proxy.entry import Clock, Entry, Ticket
from gateway.proxy.limits import Bucket, Room, Slots, part, share
from gateway.proxy.snapshot import Caller, Deployment
from gateway.settings.snapshot import Admission


class Throttle:
    """The slots, lines and buckets of worker `number` of `workers` on this host."""

    def __init__(self, number: int = 0, workers: int = 1, clock: Clock = time.monotonic) -> None:
        self._number = number
        self._workers = workers
        self._clock = clock
        self._all: Slots[Ticket] = Slots()
        self._deployments: defaultdict[str, Slots[Ticket]] = defaultdict(Slots)
        self._applications: defaultdict[str, Slots[Ticket]] = defaultdict(Slots)
        self._buckets: defaultdict[str, Bucket] = defaultdict(Bucket)
        self._room = Room()

    def count(self, caller: Caller, entry: Entry) -> None:
        """Hold an application to its own limits.

        Raises:
            RateLimitedError: it has sent too many in the last minute, or has too many under way.
        """
        application = caller.application
        if (limit := application.max_concurrent) is not None:
            slots = self._applications[caller.name]
            if not slots.take(share(limit, self._workers)):
                message = f"The application {caller.name!r} may have {limit} requests under way at once; try again."
                raise RateLimitedError(message, error_class="application_concurrency")
            entry.held += (slots,)
        if (rate := application.requests_per_minute) is not None:
            burst = max(1, part(rate, self._number, self._workers))
            wait_s = self._buckets[caller.name].take(self._clock(), per_minute=rate / self._workers, burst=burst)
            if wait_s > 0:
                message = f"The application {caller.name!r} may send {rate} requests per minute; this one is too many."
                raise RateLimitedError(message, retry_after_s=wait_s)

    def room(self, admission: Admission) -> Room:
        """Return where bodies are counted into."""
        self._room.limit_bytes = admission.max_buffered_bytes
        return self._room

    async def enter(self, deployment: Deployment, admission: Admission, entry: Entry) -> None:
        """Take the slots that this request needs, waiting in line for them if need be.

        Raises:
            ShedError: the line is full, or the wait was too long.
        """
        deadline_at = asyncio.get_running_loop().time() + admission.queue_timeout_s
        room = share(admission.queue, self._workers)
        if (limit := deployment.limits.max_concurrent) is not None:
            await self._take(self._deployments[deployment.model], limit, room, deadline_at, entry)
        if admission.max_concurrent is not None:
            await self._take(self._all, admission.max_concurrent, room, deadline_at, entry)

    def leave(self, entry: Entry, connection: Connection) -> None:
        """Give back whatever the request holds, and let in who may go on now."""
        self._room.give_back(connection.buffered_bytes)
        if entry.held:
            held, entry.held = entry.held, ()
            for slots in held:
                _release(slots)

    async def _take(self, slots: Slots[Ticket], limit: int, room: int, deadline_at: float, entry: Entry) -> None:
        if not slots.take(share(limit, self._workers)):
            await _wait(slots, room, deadline_at)
        entry.held += (slots,)


async def _wait(slots: Slots[Ticket], room: int, deadline_at: float) -> None:
    ticket: Ticket = asyncio.get_running_loop().create_future()
    if not slots.line_up(ticket, room):
        raise ShedError(_BUSY, error_class="queue_full")
    try:
        async with asyncio.timeout_at(deadline_at):
            await ticket
    except BaseException as error:
        if not slots.withdraw(ticket):
            _release(slots)
        if isinstance(error, TimeoutError):
            raise ShedError(_BUSY, error_class="queue_timeout") from None
        raise


def _release(slots: Slots[Ticket]) -> None:
    for ticket in slots.give_back():
        if not ticket.done():
            ticket.set_result(None)


_BUSY = "The gateway is at its limit of requests at once; try again in a moment."
