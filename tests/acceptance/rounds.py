"""Waits at a fixed rate, in rounds of two kinds that take turns in one run, so that both meet the same noise.

A question is sent when it is due, answered or not what was asked before; a wait begins when it was due.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.acceptance.callers import quantile
from tests.acceptance.harness import ROLLOUT, Installation

_PATIENCE_S = 20.0
_IDLE_S = 5.0
"""A connection that was idle for longer is replaced before a round: the gateway closes it after twenty seconds."""


@dataclass(kw_only=True)
class Line:
    """One connection, and the question that it asks again and again, once at a time."""

    host: str
    port: int
    question: bytes
    reader: asyncio.StreamReader = field(init=False)
    writer: asyncio.StreamWriter = field(init=False)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    used_at: float = 0.0

    async def renew(self) -> None:
        """Connect, if there is no connection that was used lately."""
        if time.perf_counter() - self.used_at > _IDLE_S:
            if self.used_at:
                self.writer.transport.abort()
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
            self.used_at = time.perf_counter()

    async def ask(self, due_at: float) -> tuple[float, bytes]:
        """Return the wait in milliseconds, and the head of the answer."""
        async with self.turn, asyncio.timeout(_PATIENCE_S):
            self.writer.write(self.question)
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await self.reader.readexactly(int(length))
            self.used_at = time.perf_counter()
            return (self.used_at - due_at) * 1000, head


class Beat:
    """Open lines to gateways; `heads` are the answers' heads of all rounds."""

    def __init__(self, portal: BlockingPortal) -> None:
        self.heads: list[bytes] = []
        self._portal = portal
        self._lines: list[Line] = []

    def open(self, one: Installation, user: str, model: str) -> None:
        """Have one more line."""
        target = urlsplit(one.gateway)
        body = json.dumps({"model": model, "user": user, "messages": [{"role": "user", "content": "Hello"}]})
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {target.netloc}\r\n"
            f"authorization: Bearer {one.keys['application']}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._lines.append(Line(host=target.hostname or "", port=target.port or 0, question=(head + body).encode()))

    def round(self, seconds: float, per_s: float) -> list[float]:
        """Ask so often for so long, all lines in turn; return the waits in milliseconds."""
        return self._portal.call(self._round, seconds, per_s)

    async def _round(self, seconds: float, per_s: float) -> list[float]:
        for line in self._lines:
            await line.renew()
        began = time.perf_counter()
        asked: list[asyncio.Task[tuple[float, bytes]]] = []
        for number, line in zip(range(round(seconds * per_s)), itertools.cycle(self._lines), strict=False):
            due_at = began + number / per_s
            await asyncio.sleep(due_at - time.perf_counter())
            asked.append(asyncio.ensure_future(line.ask(due_at)))
        answered = await asyncio.gather(*asked)
        self.heads += [head for _, head in answered]
        return [wait_ms for wait_ms, _ in answered]

    async def close(self) -> None:
        """Hang up."""
        for line in self._lines:
            if line.used_at:
                line.writer.transport.abort()
        await asyncio.sleep(0.01)


@contextmanager
def beating(hosts: Sequence[Installation], users: Sequence[str], *, model: str = ROLLOUT) -> Iterator[Beat]:
    """Open a line for each of the users, to the gateways in turn."""
    with start_blocking_portal("asyncio") as portal:
        beat = Beat(portal)
        for user, host in zip(users, itertools.cycle(hosts), strict=False):
            beat.open(host, user, model)
        yield beat
        portal.call(beat.close)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The waits of rounds without and with a fault, in milliseconds, one pair after the other."""

    without: Sequence[Sequence[float]]
    during: Sequence[Sequence[float]]

    def added_ms(self, share: float) -> float:
        """Return the median over the pairs of what the fault adds to this quantile."""
        both = zip(self.without, self.during, strict=True)
        return statistics.median(quantile(during, share) - quantile(without, share) for without, during in both)

    def __str__(self) -> str:
        """Show what is added, and the quantiles' medians without."""
        plain = {share: statistics.median(quantile(one, share) for one in self.without) for share in (0.5, 0.99)}
        shown = [f"p{share * 100:g} {self.added_ms(share):+.2f} ms (of {plain[share]:.2f})" for share in plain]
        return f"{', '.join(shown)}, medians of {len(self.without)} pairs"


def paired(
    beat: Beat, fault: Callable[[], AbstractContextManager[None]], *, pairs: int, seconds: float, per_s: float = 100.0
) -> Pairs:
    """Take rounds in pairs, with and without the fault, each one first in every second pair."""
    without: list[list[float]] = []
    during: list[list[float]] = []
    beat.round(min(seconds, 1.0), per_s)
    for number in range(pairs):
        if number % 2:
            without.append(beat.round(seconds, per_s))
        with fault():
            during.append(beat.round(seconds, per_s))
        if number % 2 == 0:
            without.append(beat.round(seconds, per_s))
    return Pairs(without=without, during=during)
