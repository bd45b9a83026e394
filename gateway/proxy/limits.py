"""The arithmetic of admission: shares of a host's limits, slots with a queue, a token bucket, bytes held. Pure.

Law: what was taken is given back once, and nobody holds more than the limit that was in force when it was taken.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Ticket = TypeVar("Ticket", bound=Hashable)

_MINUTE_S = 60.0


def share(limit: int, workers: int) -> int:
    """Return one worker's part of a host's limit, rounded up: together they allow up to `workers - 1` more."""
    return -(-limit // workers)


def part(limit: int, number: int, workers: int) -> int:
    """Return the part of worker `number` (0, 1, 2 ...): the parts of all workers add up to the limit exactly."""
    return limit // workers + (number < limit % workers)


class Slots(Generic[Ticket]):
    """So many at once; who comes later waits in line, first come, first served, until the line is full.

    Limits come with every call, since a new configuration may have changed them; who waits is let in by who leaves.
    """

    __slots__ = ("_limit", "_line", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self._limit = 0
        self._line: dict[Ticket, None] = {}

    @property
    def waiting(self) -> int:
        """Return how many wait."""
        return len(self._line)

    def take(self, limit: int) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        self._limit = limit
        if self.taken >= limit or self._line:
            return False
        self.taken += 1
        return True

    def line_up(self, ticket: Ticket, room: int) -> bool:
        """Wait in line, unless `room` others do so already."""
        if len(self._line) >= room:
            return False
        self._line[ticket] = None
        return True

    def withdraw(self, ticket: Ticket) -> bool:
        """Leave the line; False when it was let in meanwhile, and so has a slot to give back."""
        return self._line.pop(ticket, ticket) is None

    def give_back(self) -> list[Ticket]:
        """Give one slot back, and return those in line who have one now."""
        self.taken -= 1
        admitted: list[Ticket] = []
        while self._line and self.taken < self._limit:
            ticket = next(iter(self._line))
            del self._line[ticket]
            self.taken += 1
            admitted.append(ticket)
        return admitted


class Bucket:
    """A token bucket: full at first, refilled evenly. In any `t` seconds it gives at most `burst + t * rate / 60`."""

    __slots__ = ("_level", "_refilled_at")

    def __init__(self) -> None:
        self._level: float | None = None
        self._refilled_at = 0.0

    def take(self, now: float, *, per_minute: float, burst: int) -> float:
        """Take one token and return 0.0, or take none and return the seconds until there is one."""
        rate = per_minute / _MINUTE_S
        level = burst if self._level is None else self._level + max(0.0, now - self._refilled_at) * rate
        self._level = min(level, float(burst))
        self._refilled_at = now
        if self._level < 1.0:
            return (1.0 - self._level) / rate
        self._level -= 1.0
        return 0.0


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
