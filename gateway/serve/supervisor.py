"""Start child processes, restart what dies with back-off, end them in order. Children never outlive it.

It knows nothing of what they do: a `Child` is a command, its environment, the sockets it inherits, and its turn to end.
"""

from __future__ import annotations

import ctypes
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

import msgspec

_log = logging.getLogger("turnout.serve")
_POLL_S = 0.05
_BACK_OFF_S = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 30.0
"""A child that lived this long starts again without delay."""
_PR_SET_PDEATHSIG = 1


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One process to keep running. `turn` orders the end: 0 ends first; all of a turn end before the next is told to.

    `grace_s` is how long it may take to end after SIGTERM before it is killed.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    sockets: Sequence[int] = ()
    turn: int
    grace_s: float


class _Running:
    """A child, its present process, and when it may start again."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._deaths = 0
        self._start_at = 0.0

    def keep(self, now: float) -> None:
        """Start it if it is its time, and note it if it has died."""
        if self.process is None:
            if now >= self._start_at:
                self._try_start(now)
        elif (status := self.process.poll()) is not None:
            self.process = None
            self._wait("a process ended; it is started again", now, status=status)

    def _wait(self, event: str, now: float, **extra: object) -> None:
        self._deaths = 0 if now - self._started_at > _STEADY_S else self._deaths + 1
        delay_s = _BACK_OFF_S[min(self._deaths, len(_BACK_OFF_S)) - 1] if self._deaths else 0.0
        self._start_at = now + delay_s
        _log.error(event, extra={"child": self.child.name, "restart_in_s": delay_s, **extra})

    def _try_start(self, now: float) -> None:
        self._started_at = now
        try:
            self._start()
        except OSError as error:
            self._wait("a process could not be started; it is tried again", now, reason=error.strerror)

    def _start(self) -> None:
        self.process = subprocess.Popen(
            self.child.command,
            env=dict(self.child.environment),
            pass_fds=self.child.sockets,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has no threads, and libc is loaded already
        )

    def tell_to_end(self) -> None:
        """Send SIGTERM if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def has_ended(self) -> bool:
        """Tell whether no process is left."""
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.poll() is None:
            _log.error("a process did not end in time and was killed", extra={"child": self.child.name})
            self.process.kill()
            self.process.wait()


class Supervisor:
    """Keeps children running until SIGTERM or SIGINT tells it to end; a second signal ends at once.

    What a signal changes are plain flags: an `Event` takes a lock, and a signal may arrive while this thread holds it.
    """

    def __init__(self, children: Sequence[Child]) -> None:
        self._running = [_Running(child) for child in children]
        self._is_ending = False
        self._is_at_once = False

    def listen_to_signals(self) -> None:
        """Let SIGTERM and SIGINT end it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)

    def tend(self) -> None:
        """Look after every child once."""
        for running in self._running:
            running.keep(time.monotonic())

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
        for turn in sorted({running.child.turn for running in self._running}):
            self._end_turn([running for running in self._running if running.child.turn == turn])

    def _end_turn(self, group: Sequence[_Running]) -> None:
        for running in group:
            running.tell_to_end()
        killed_at = time.monotonic() + max(running.child.grace_s for running in group)
        while not all(running.has_ended() for running in group):
            if self._is_at_once or time.monotonic() > killed_at:
                break
            time.sleep(_POLL_S)
        for running in group:
            running.kill()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_at_once = self._is_ending
        self._is_ending = True


def _load_prctl() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


_libc = _load_prctl()


def _die_with_parent() -> None:
    """In the child, before it becomes another program: be told to end when the supervisor dies, even by SIGKILL."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
