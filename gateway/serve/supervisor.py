"""Look after child processes: keep them running, replace them, end them in order, hand over. None outlives it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType

from gateway.serve.handover import Inheritance, Offer
from gateway.serve.roll import Crew, Roll
from gateway.serve.running import Child, Running

_POLL_S = 0.05


class Supervisor:
    """Keeps children running until SIGTERM or SIGINT tells it to end; a second signal ends at once.

    SIGHUP asks for a rolling restart of the children that roll. It ends too when a new supervisor has taken up the
    `offer`; or, `has_failed`, when it could not take up an `inheritance` in time. What a signal changes are plain
    flags: an `Event` takes a lock, and a signal may arrive while this thread holds it.
    """

    def __init__(
        self, children: Sequence[Child], *, offer: Offer | None = None, inheritance: Inheritance | None = None
    ) -> None:
        reserved = inheritance.estate.names if inheritance is not None else ()
        self._crew = Crew([Running(child) for child in children], reserved)
        self._offer = offer
        self._inheritance = inheritance
        self.has_failed = False
        self._roll: Roll | None = None
        self._is_roll_wanted = False
        self._is_ending = False
        self._is_at_once = False
        self._has_terminal = False

    def listen_to_signals(self) -> None:
        """Let SIGTERM and SIGINT end it, and SIGHUP restart."""
        self._has_terminal = _has_terminal()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_end)
        signal.signal(signal.SIGHUP, self._told_to_roll)

    def tend(self) -> None:
        """Look after every child once."""
        now = time.monotonic()
        for one in self._crew.running:
            one.keep(now)
        self._crew.tend_leaving(now)
        if self._inheritance is not None and not self._inheritance.step(self._crew):
            self._is_ending = self.has_failed = True
        if self._inheritance is None or self._inheritance.is_taken:
            self._change(now)

    def _change(self, now: float) -> None:
        """Go on with a rolling restart or with a handover: one after the other."""
        if self._offer is not None:
            self._offer.listen()
        if self._is_roll_wanted and self._roll is None and not (self._offer is not None and self._offer.is_busy):
            self._is_roll_wanted = False
            self._roll = Roll(self._crew)
        if self._roll is not None:
            self._roll = None if self._roll.step(now) else self._roll
        elif self._offer is not None and self._offer.step(self._crew, now):
            self._is_ending = True

    def run(self, each_time: Callable[[], None] = lambda: None) -> None:
        """Look after the children, and do `each_time`, until told to end; then end the children in order."""
        try:
            while not self._is_ending:
                self.tend()
                each_time()
                time.sleep(_POLL_S)
        finally:
            self.stop()

    def stop(self) -> None:
        """End all children, turn by turn."""
        if self._roll is not None:
            self._roll.end(time.monotonic())
            self._roll = None
        everyone = [*self._crew.running, *self._crew.leaving]
        for turn in sorted({one.child.turn for one in everyone}):
            self._end_turn([one for one in everyone if one.child.turn == turn])

    def _end_turn(self, group: Sequence[Running]) -> None:
        for one in group:
            one.tell_to_end(time.monotonic())
        while left := [one for one in group if not one.has_ended()]:
            for one in left:
                if self._is_at_once or time.monotonic() > one.killed_at:
                    one.kill()
            time.sleep(_POLL_S)

    def _told_to_end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_at_once = self._is_ending
        self._is_ending = True

    def _told_to_roll(self, number: int, frame: FrameType | None) -> None:
        """Restart; but the system sends the same signal when the terminal is closed that it was started from."""
        if self._has_terminal and not _has_terminal():
            self._told_to_end(number, frame)
        else:
            self._is_roll_wanted = True


def _has_terminal() -> bool:
    return sys.__stdin__ is not None and os.isatty(0)
