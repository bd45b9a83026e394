"""A worker's rounds over its connections: how long each may stay as it is, and what was ended, said once a second.

The law: no connection has a timer of its own. A stage's time begins at the first round that sees it, so that a request
pays nothing for being watched, and a limit is kept to within one round.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from enum import Enum
from typing import Protocol

from gateway.proxy.hosts import Hosts
from gateway.settings.schema import Server

KEEP_ALIVE_S = 20.0
LINGER_S = 2.0
"""How long a refused caller may go on sending: closing with unread bytes would reset the answer away."""
_A_ROUNDS_SHARE = 200
"""Connections that are looked at before requests get their turn again."""

_log = logging.getLogger("turnout.proxy")


class Stage(Enum):
    """Where a connection stands between two bytes."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    IDLE = "idle"
    CLOSING = "closing"


class Watched(Protocol):
    """A connection, as the rounds see it."""

    def look(self, now: float) -> None:
        """End what takes too long; `now` is monotonic seconds."""
        ...

    def make_way(self) -> bool:
        """End, and return True, unless a request is under way."""
        ...


class Guard:
    """A worker's limits, its connections in the order in which they came, and the count of what it ended, by code."""

    def __init__(self, limits: Server, max_connections: int = sys.maxsize) -> None:
        self.limits = limits
        self.hosts = Hosts(limits.hosts)
        self.connections: dict[Watched, None] = {}
        self._max_connections = max_connections
        self.ended: Counter[str] = Counter()
        self.allowed_s: dict[Stage, float | None] = {
            Stage.HEAD: limits.head_timeout_s,
            Stage.BODY: limits.body_timeout_s,
            Stage.ANSWER: None,
            Stage.IDLE: KEEP_ALIVE_S,
            Stage.CLOSING: LINGER_S,
        }
        shortest_s = min(limits.head_timeout_s, limits.body_timeout_s, limits.write_timeout_s)
        self._pause_s = min(1.0, max(0.05, shortest_s / 4))
        self._said_at = 0.0

    def admit(self, connection: Watched) -> bool:
        """Count a connection in; if there are too many, the oldest without a request goes, and without any: False."""
        self.connections[connection] = None
        if len(self.connections) <= self._max_connections:
            return True
        return any(other.make_way() for other in list(self.connections) if other is not connection)

    async def watch(self) -> None:
        """Look at every connection about once a second, until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._pause_s)
                await self._round()
                if time.monotonic() - self._said_at >= 1:
                    self._say()
        finally:
            self._say()

    async def _round(self) -> None:
        for at, connection in enumerate(list(self.connections), start=1):
            connection.look(time.monotonic())
            if at % _A_ROUNDS_SHARE == 0:
                await asyncio.sleep(0)

    def _say(self) -> None:
        """Log what was ended since the last line: at most one line a second, however many callers are hostile."""
        if self.ended:
            counts = dict(self.ended)
            self.ended.clear()
            self._said_at = time.monotonic()
            _log.warning("connections ended by the guard", extra={"ended": sum(counts.values()), "codes": counts})
