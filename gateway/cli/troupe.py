"""The commands that `turnout demo` runs beside itself: started one by one, ended together.

The law: however the block ends, every process of it has ended, within `END_S` and `AGAIN_S` in all, however many there
are; each of them also ends when this process dies; and what breaks off is not lost while one is started.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import partial
from os import getpid
from pathlib import Path

from gateway.settings.environment import process_environment

TURNOUT = (sys.executable, "-m", "gateway")
BREAKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What breaks the demonstration off; while its processes end it changes nothing more."""
END_S = 40.0
"""So long all processes together may take to end in good order: a second or two, on a machine that is not busy."""
AGAIN_S = 5.0
"""So long whoever did not may take to end at once, which a second SIGTERM asks for; then it is killed."""
_LOOK_S = 0.05


Running = subprocess.Popen[bytes]


class Troupe:
    """The processes that were started, and their end."""

    def __init__(self, *, end_s: float = END_S, again_s: float = AGAIN_S) -> None:
        self._end_s, self._again_s = end_s, again_s
        self._started: list[Running] = []

    def start(self, words: Sequence[str], log: Path, *, is_heard: bool = False) -> Running:
        """Start a command of Turnout's, in a process group of its own: Ctrl-C reaches this process alone.

        What it says is added to the log; if it `is_heard`, its standard output is a pipe instead.
        """
        from gateway.serve.running import die_with_parent  # noqa: PLC0415 - only this command needs it

        with _whole(), log.open("ab") as said:
            running = subprocess.Popen(
                [*TURNOUT, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_heard else said,
                stderr=said,
                env=own_environment(),
                process_group=0,
                preexec_fn=partial(die_with_parent, getpid()),  # noqa: PLW1509 - see there why it is safe
            )
            self._started.append(running)
        return running

    def end(self, *which: Running, by: signal.Signals = signal.SIGTERM) -> None:
        """Tell these, or all, to end, all at once; whoever does not is told once more, and killed."""
        with _undisturbed():
            left = [one for one in which or self._started if one.poll() is None]
            for number, patience_s in ((by, self._end_s), (signal.SIGTERM, self._again_s), (signal.SIGKILL, None)):
                _tell(left, number)
                left = _left_after(left, patience_s)


@contextmanager
def together() -> Generator[Troupe]:
    """Yield nobody yet; whoever is started has ended when the block has."""
    troupe = Troupe()
    try:
        yield troupe
    finally:
        troupe.end()


def own_environment() -> dict[str, str]:
    """Return this process's environment without the variables that name another installation."""
    return {name: value for name, value in process_environment().items() if not name.startswith("TURNOUT_")}


def _tell(processes: Iterable[Running], number: signal.Signals) -> None:
    for one in processes:
        one.send_signal(number)


def _left_after(processes: Iterable[Running], patience_s: float | None) -> list[Running]:
    """Wait until all have ended, but not longer than that; return who has not. None: however long it takes."""
    given_up_at = None if patience_s is None else time.monotonic() + patience_s
    while left := [one for one in processes if one.poll() is None]:
        if given_up_at is not None and time.monotonic() >= given_up_at:
            break
        time.sleep(_LOOK_S)
    return left


@contextmanager
def _whole() -> Generator[None]:
    """Put off what breaks off: an exception that a signal raises while Python forks is printed there and lost."""
    told: list[int] = []
    before = [signal.signal(number, lambda number, _: told.append(number)) for number in BREAKING]
    try:
        yield
    finally:
        for number, was in zip(BREAKING, before, strict=True):
            signal.signal(number, was)
    for number in told:
        signal.raise_signal(number)


@contextmanager
def _undisturbed() -> Generator[None]:
    before = [signal.signal(number, signal.SIG_IGN) for number in BREAKING]
    try:
        yield
    finally:
        for number, was in zip(BREAKING, before, strict=True):
            signal.signal(number, was)
