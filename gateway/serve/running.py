"""One child process: started, started again with back-off, told to end, killed when its grace is over.

It knows nothing of what the process does: a `Child` is a command, its environment, the sockets it inherits, and its
turn to end.
"""

from __future__ import annotations

import ctypes
import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from itertools import count

import msgspec

_log = logging.getLogger("turnout.serve")
_BACK_OFF_S = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_STEADY_S = 30.0
"""A child that lived this long starts again without delay."""
_PR_SET_PDEATHSIG = 1


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One process to keep running. `turn` orders the end: 0 ends first; all of a turn end before the next is told to.

    `grace_s` is how long it may take to end after SIGTERM before it is killed. A child that `rolls` may run beside its
    replacement: its name ends in `-NUMBER`, and it is given `--name NAME`, which no other living child has, and
    `--ready-fd FD`, to which it writes one byte when it has taken up its work.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    sockets: Sequence[int] = ()
    turn: int
    grace_s: float
    rolls: bool = False


class Running:
    """A child, its present process, and when it may start again. `name` is the child's, or that of a replacement."""

    def __init__(self, child: Child, name: str | None = None) -> None:
        self.child = child
        self.name = name or child.name
        self.process: subprocess.Popen[bytes] | None = None
        self.killed_at = math.inf
        self._ready_fd: int | None = None
        self._is_ready = False
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

    def start(self, now: float) -> None:
        """Start the process.

        Raises:
            OSError: it cannot be started.
        """
        self._started_at, self._is_ready = now, False
        self._forget_ready()
        if not self.child.rolls:
            self.process = self._spawned(self.child.command, self.child.sockets)
            return
        self._ready_fd, told = os.pipe()
        os.set_blocking(self._ready_fd, False)
        try:
            command = [*self.child.command, "--name", self.name, "--ready-fd", str(told)]
            self.process = self._spawned(command, [*self.child.sockets, told])
        finally:
            os.close(told)

    def is_ready(self) -> bool:
        """Tell whether the process has taken up its work; of a child that does not roll, whether it was started."""
        if self._ready_fd is not None:
            try:
                self._is_ready = bool(os.read(self._ready_fd, 1))
            except BlockingIOError:
                return False
            self._forget_ready()
        return self._is_ready or (self.process is not None and not self.child.rolls)

    def tell_to_end(self, now: float) -> None:
        """Send SIGTERM if it runs, once; from here on its grace runs."""
        if self.killed_at == math.inf:
            self.killed_at = now + self.child.grace_s
            if not self.has_ended() and self.process is not None:
                self.process.terminate()

    def has_ended(self) -> bool:
        """Tell whether no process is left."""
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """End it at once."""
        self._forget_ready()
        if self.process is not None and self.process.poll() is None:
            _log.error("a process did not end in time and was killed", extra={"child": self.name})
            self.process.kill()
            self.process.wait()

    def _wait(self, event: str, now: float, **extra: object) -> None:
        self._deaths = 0 if now - self._started_at > _STEADY_S else self._deaths + 1
        delay_s = _BACK_OFF_S[min(self._deaths, len(_BACK_OFF_S)) - 1] if self._deaths else 0.0
        self._start_at = now + delay_s
        _log.error(event, extra={"child": self.name, "restart_in_s": delay_s, **extra})

    def _try_start(self, now: float) -> None:
        try:
            self.start(now)
        except OSError as error:
            self._wait("a process could not be started; it is tried again", now, reason=error.strerror)

    def _spawned(self, command: Sequence[str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env=dict(self.child.environment),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - see there why it is safe
        )

    def _forget_ready(self) -> None:
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None


def free_name(child: Child, taken: Collection[str]) -> str:
    """Return the first of `STEM-0`, `STEM-1`, ... that nobody has."""
    stem = child.name.rpartition("-")[0]
    return next(name for number in count() if (name := f"{stem}-{number}") not in taken)


def _load_prctl() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = (ctypes.c_int, ctypes.c_ulong)
    return prctl


_prctl = _load_prctl()


def die_with_parent(parent: int) -> None:
    """In the child, before it becomes another program: be told to end when the supervisor dies, even by SIGKILL.

    The child is a copy of this process without its other thread, the one that writes the log; a lock that it held at
    that moment stays taken. Hence this neither logs nor imports: it is one call of a function that was found before,
    and a look whether the supervisor died meanwhile.
    """
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
