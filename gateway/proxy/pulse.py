"""Comment lines to a caller whose stream is silent, so that nothing between us takes the connection for dead.

Law: only between events, since events are written whole and a comment is written as one piece; never after the end.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from gateway.proxy.caller import Connection
from gateway.proxy.entry import Clock

COMMENT = b": keep-alive\n\n"
"""A line that begins with a colon is ignored by every reader of server-sent events (WHATWG HTML, section 9.2.6)."""


class Pulse:
    """While its block lasts, writes a comment whenever nothing was written for `every_s`; `wrote_at` is kept by others.

    Before the first one it waits `held_s` longer, where somebody else may still answer: a comment takes the head along.
    A stream that is not silent costs one timer for each `every_s`, whatever passes in between.
    """

    __slots__ = ("_clock", "_connection", "_every_s", "_timer", "_writing", "wrote_at")

    def __init__(self, connection: Connection, clock: Clock, every_s: float, held_s: float = 0.0) -> None:
        self._connection = connection
        self._clock = clock
        self._every_s = every_s
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.wrote_at = clock() + held_s

    def __enter__(self) -> Self:
        self._wait(self._every_s)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._writing is not None:
            self._writing.cancel()

    def _wait(self, for_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(for_s, self._beat)

    def _beat(self) -> None:
        now = self._clock()
        due_s = self.wrote_at + self._every_s - now
        if due_s > 0:
            return self._wait(due_s)
        self.wrote_at = now
        if self._writing is None or self._writing.done():
            writing = self._connection.write(COMMENT)
            self._writing = asyncio.get_running_loop().create_task(writing, name="keep-alive-comment")
        return self._wait(self._every_s)
