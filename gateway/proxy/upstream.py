"""The only way out, as a port: send one request to an upstream, hand its bytes on as they arrive, end every stall.

`Http1Upstream` in `connector.py` keeps it; the contract suite is `tests/contracts/test_upstream*.py`.
Law: a body is never sent twice, a cancelled request closes its connection at once, and nothing of the environment
(proxies, netrc) or of the upstream (cookies, redirects) changes where a request goes.

    Fault                   what the upstream did
    ├── RefusedFault        could not be connected to, or the request could not be written: nothing was sent
    ├── StalledFault        did not come up with a byte in time; `limit` names which time
    └── BrokenFault         closed, reset or broke HTTP's framing after the request may have been sent
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

Limit = Literal["connect", "first_byte", "idle", "answer", "total"]
Header = tuple[bytes, bytes]

_PLAIN_CODINGS = {b"content-encoding": (b"identity", b""), b"transfer-encoding": (b"chunked", b"identity", b"")}


class Fault(Exception):  # noqa: N818 - the tree's words are faults: what an upstream did, not what we did wrong
    """What went wrong with an upstream. `kind` is the record's error class; upstream texts are never carried."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class RefusedFault(Fault):
    """Nothing was sent: refused, unreachable, unknown host, TLS not trusted, or a URL or header that cannot be sent."""


class StalledFault(Fault):
    """A time limit passed."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(f"{limit}_timeout")
        self.limit = limit


class BrokenFault(Fault):
    """The connection ended, or the bytes were not HTTP that can be relayed, after the request may have been sent."""


class Source(Protocol):
    """A body that comes while it is sent: read once, piece by piece, as fast as the upstream takes it."""

    @property
    def size_bytes(self) -> int | None:
        """Return how many bytes it has in all; None when only its end tells, and it is sent in chunks."""
        ...

    async def piece(self) -> bytes:
        """Return the next bytes, b"" at the end; what it raises ends the request, and whoever sent it gets that.

        Of a body of known size, the last piece ends it: nothing is asked for after it.
        """
        ...


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request: absolute URL with its query as it is to be sent, headers, body, and its limits in seconds.

    `answer_s` bounds a whole answer that is not streamed; None for a stream, where `first_byte_s` bounds its start.
    Both begin when the body was sent; while it is being sent, `idle_s` bounds how long the upstream may take nothing.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Source
    connect_s: float
    first_byte_s: float
    idle_s: float
    answer_s: float | None
    total_s: float


class Answer(Protocol):
    """A running answer."""

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[Header]:
        """Return the headers, names in lower case."""
        ...

    async def chunk(self) -> bytes:
        """Return the next bytes as they arrived, b"" at the end; raises `StalledFault`, or at a break `BrokenFault`."""
        ...

    def close(self) -> None:
        """End it: an answer read to its end has given its connection back, any other's is closed at once."""
        ...


class Upstream(Protocol):
    """The port."""

    async def send(self, call: Call) -> Answer:
        """Send once and return when the head is there: status 200 to 599, not compressed; raises any `Fault`."""
        ...

    async def close(self) -> None:
        """Close all connections; answers still running break."""
        ...


class Clock:
    """The moments (event loop time) at which one call's limits pass, each with its name."""

    __slots__ = ("_answer_s", "_end", "_first_byte", "_first_byte_s", "_idle_s", "_is_sending", "_loop", "_total")

    def __init__(self, call: Call) -> None:
        self._loop = asyncio.get_running_loop()
        self._answer_s, self._first_byte_s, self._idle_s = call.answer_s, call.first_byte_s, call.idle_s
        self._total: tuple[float, Limit] = (self._loop.time() + call.total_s, "total")
        self._end = self._first_byte = self._total
        self._is_sending = True
        if isinstance(call.body, bytes):
            self.sent()

    def sent(self) -> None:
        """Begin to wait for the answer: the body was sent, or is at once."""
        now = self._loop.time()
        self._is_sending = False
        self._end = self._total if self._answer_s is None else min(self._total, (now + self._answer_s, "answer"))
        self._first_byte = (now + self._first_byte_s, "first_byte") if self._answer_s is None else self._end

    def connect(self, within_s: float) -> tuple[float, Limit]:
        """Return when the wait for a connection, begun now, ends."""
        return self._loop.time() + within_s, "connect"

    def head(self) -> tuple[float, Limit]:
        """Return when the wait for the answer's head ends."""
        return min(self._end, self._first_byte)

    def next_byte(self, *, started: bool) -> tuple[float, Limit]:
        """Return when the wait for the next bytes ends; `started` tells that some have come already."""
        if self._is_sending:
            return self._total
        if started or self._first_byte is self._end:
            return min(self._end, (self._loop.time() + self._idle_s, "idle"))
        return min(self._end, self._first_byte)

    def taken(self) -> tuple[float, Limit]:
        """Return when the wait for the upstream to take more of the body ends."""
        return min(self._total, (self._loop.time() + self._idle_s, "idle"))

    def check(self) -> None:
        """Raise `StalledFault` when the whole answer's time is over: bytes that never cease would outrun every wait."""
        at, limit = self._end
        if self._loop.time() >= at:
            raise StalledFault(limit)


def unusable(answer: Answer) -> str | None:
    """Return why nobody could relay this answer: no final status (RFC 9110, section 15), or a coding."""
    if not 200 <= answer.status <= 599:
        return "broken_http"
    coded = any(name in _PLAIN_CODINGS and value.lower() not in _PLAIN_CODINGS[name] for name, value in answer.headers)
    return "compressed" if coded else None
