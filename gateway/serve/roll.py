"""A rolling restart: one child after the other gets a replacement, and is told to end only once that one works.

While the former one finishes what it has begun, the next is replaced. A replacement that does not come up ends the
restart, and everything else stays as it was: a bad upgrade takes nothing down.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection

from gateway.serve.running import Running, free_name

PATIENCE_S = 60.0
"""How long a replacement may take to be ready; a worker alone may wait 30 s for its first snapshot."""

_log = logging.getLogger("turnout.serve")


class Crew:
    """The children of one host: those that are kept running, and those that were told to end and still do work.

    `reserved` are names that children of a former supervisor still have.
    """

    def __init__(self, running: list[Running], reserved: Collection[str] = ()) -> None:
        self.running = running
        self.leaving: list[Running] = []
        self.reserved = frozenset(reserved)

    def names(self) -> set[str]:
        """Return the names that living children have."""
        return {one.name for one in (*self.running, *self.leaving)} | self.reserved

    def dismiss(self, one: Running, now: float) -> None:
        """Tell one to end that is no longer kept running."""
        one.tell_to_end(now)
        self.leaving.append(one)

    def tend_leaving(self, now: float) -> None:
        """Let go of those that have ended, and kill those whose grace is over."""
        for one in self.leaving:
            if now > one.killed_at:
                one.kill()
        self.leaving = [one for one in self.leaving if not one.has_ended()]


class Roll:
    """One rolling restart of a crew's children that roll."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._waiting = deque(one for one in crew.running if one.child.rolls)
        self._replacement: Running | None = None
        self._given_up_at = 0.0
        _log.info("rolling restart begins", extra={"children": [one.name for one in self._waiting]})

    def step(self, now: float) -> bool:
        """Go on as far as it goes now; return True when it is over."""
        if self._replacement is None:
            return self._begin_next(now)
        if self._replacement.is_ready():
            self._exchange(self._replacement, now)
            return self._is_over()
        if self._replacement.has_ended() or now > self._given_up_at:
            self._give_up("its replacement ended" if self._replacement.has_ended() else "its replacement was not ready")
            return True
        return False

    def end(self, now: float) -> None:
        """Break it off, because everything ends: a replacement that was not ready ends with the others."""
        if self._replacement is not None:
            self._crew.dismiss(self._replacement, now)

    def _begin_next(self, now: float) -> bool:
        if self._is_over():
            return True
        child = self._waiting[0].child
        replacement = Running(child, free_name(child, self._crew.names()))
        self._replacement, self._given_up_at = replacement, now + PATIENCE_S
        try:
            replacement.start(now)
        except OSError as error:
            self._give_up(f"its replacement could not be started: {error.strerror}")
            return True
        return False

    def _exchange(self, replacement: Running, now: float) -> None:
        former = self._waiting.popleft()
        self._crew.running[self._crew.running.index(former)] = replacement
        self._crew.dismiss(former, now)
        self._replacement = None

    def _is_over(self) -> bool:
        if not self._waiting:
            _log.info("rolling restart is over")
        return not self._waiting

    def _give_up(self, reason: str) -> None:
        if self._replacement is not None:
            self._replacement.kill()
        staying = [one.name for one in self._waiting]
        _log.error("rolling restart given up; these stay as they are", extra={"children": staying, "reason": reason})
