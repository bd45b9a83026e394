"""A running answer: what its connection brings, until one task reads it, or a limit passes.

Law: what came is read before what ended it; a limit that passes becomes the fault, and waiting costs a chunk no timer.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.proxy.upstream import Clock, Header, Limit, StalledFault

_HELD_BYTES = 256 * 1024
"""What is read ahead of a slow caller."""


class Carrier(Protocol):
    """The connection on which an answer comes."""

    def go_on(self) -> None:
        """Read again after `add` said that there is enough."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...


class RunningAnswer:
    """An `Answer`: filled by its connection, read by one task."""

    __slots__ = (
        "_carrier",
        "_clock",
        "_due_at",
        "_fault",
        "_held_bytes",
        "_is_complete",
        "_limit",
        "_loop",
        "_pieces",
        "_started",
        "_timer",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, carrier: Carrier, clock: Clock) -> None:
        self.status = 0
        self.headers: list[Header] = []
        self._carrier = carrier
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._is_complete = False
        self._started = False
        self._fault: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self._limit: Limit = "total"

    async def head(self) -> None:
        """Return when the head is there; raises `Fault`, or what the request's body raised."""
        while not self.status:
            if self._fault is not None:
                raise self._fault
            await self._wait(*self._clock.head())

    async def chunk(self) -> bytes:
        """See `Answer`."""
        while not self._pieces:
            if self._fault is not None:
                raise self._fault
            if self._is_complete:
                return b""
            await self._wait(*self._clock.next_byte(started=self._started))
        self._clock.check()
        received = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._started = True
        if self._held_bytes > _HELD_BYTES:
            self._carrier.go_on()
        self._held_bytes = 0
        return received

    def close(self) -> None:
        """See `Answer`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_complete:
            self._carrier.abort()

    async def _wait(self, due_at: float, limit: Limit) -> None:
        """Wait for news, or for the limit, which becomes the fault.

        A timer that is too early looks again when it fires: most chunks find it where it is good enough.
        """
        self._due_at, self._limit = due_at, limit
        if self._timer is not None and self._timer.when() > due_at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(due_at, self._expire)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _expire(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._due_at:
            self._timer = self._loop.call_at(self._due_at, self._expire)
        else:
            self.fail(StalledFault(self._limit))

    def begin(self, status: int, headers: list[Header]) -> None:
        """Take the head."""
        self.status, self.headers = status, headers

    def add(self, piece: bytes) -> bool:
        """Take a piece of the body; False when there is more than enough for now."""
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        return self._held_bytes <= _HELD_BYTES

    def end(self) -> None:
        """Note that the last byte has come."""
        self._is_complete = True

    def fail(self, fault: Exception) -> None:
        """Note what ended it, once: a fault, or what the body's source raised; what came before is read first."""
        if not self._is_complete and self._fault is None:
            self._fault = fault
            self.wake()

    def wake(self) -> None:
        """Let the reader look."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
