"""The only way out: send one request to an upstream, hand its bytes on as they arrive, end every stall.

The port is `Upstream`; its contract suite is `tests/contracts/test_upstream.py`. Law: a body is never sent twice, a
cancelled request closes its connection at once, and nothing of the environment (proxies, netrc) or of the upstream
(cookies, redirects) changes where a request goes.

    Fault                   what the upstream did
    ├── RefusedFault        could not be connected to: the request was not sent
    ├── StalledFault        did not come up with a byte in time; `limit` names which time
    └── BrokenFault         closed, reset or broke HTTP's framing after the request may have been sent
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, Protocol

import aiohttp
import msgspec
from yarl import URL

Limit = Literal["connect", "first_byte", "idle", "answer", "total"]
Header = tuple[bytes, bytes]

_POOLED_IDLE_S = 15.0
"""Shorter than the idle limit of common upstreams and balancers (60 s and more): we close first (promise 13)."""
_MAX_HEADERS = 128
_MAX_HEADER_BYTES = 16 * 1024
_COMPRESSED = "compressed"
_PIECE_BYTES = 256 * 1024
"""aiohttp warns of bodies over 1 MiB sent in one piece; larger bodies are handed over in pieces of this size."""


class Fault(Exception):  # noqa: N818 - the tree's words are faults: what an upstream did, not what we did wrong
    """What went wrong with an upstream. `kind` is the record's error class; upstream texts are never carried."""

    kind = "upstream_fault"


class RefusedFault(Fault):
    """No connection, so nothing was sent: refused, unreachable, unknown host, or TLS not trusted."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class StalledFault(Fault):
    """A time limit passed."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit)
        self.limit = limit
        self.kind = f"{limit}_timeout"


class BrokenFault(Fault):
    """The connection ended, or the bytes were not HTTP, after the request may have been sent."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request: absolute URL with its query as it is to be sent, headers, body, and its limits in seconds.

    `answer_s` bounds a whole answer that is not streamed; None for a stream, where `first_byte_s` bounds its start.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
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
        """Return the next bytes as they arrived, b"" at the end; raises `StalledFault` or `BrokenFault`."""
        ...

    def close(self) -> None:
        """End it: an answer read to its end gives its connection back, any other closes it at once."""
        ...


class Upstream(Protocol):
    """The port."""

    async def send(self, call: Call) -> Answer:
        """Send once and return when the answer's head is there, its body not compressed; raises any `Fault`."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class AiohttpUpstream:
    """`Upstream` on aiohttp; one per worker."""

    def __init__(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_POOLED_IDLE_S, ttl_dns_cache=10)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("accept-encoding", "user-agent", "accept", "content-type"),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
        )

    async def send(self, call: Call) -> Answer:
        """See `Upstream`."""
        clock = _Clock(call)
        try:
            async with asyncio.timeout_at(clock.head_at):
                response = await self._session.request(
                    call.method,
                    URL(call.url, encoded=True),
                    headers=call.headers if len(call.body) <= _PIECE_BYTES else _sized(call),
                    data=call.body if len(call.body) <= _PIECE_BYTES else _pieces(call.body),
                    timeout=aiohttp.ClientTimeout(total=None, connect=call.connect_s, sock_connect=call.connect_s),
                    allow_redirects=False,
                )
        except TimeoutError as error:
            raise StalledFault(_head_limit(error, clock)) from None
        except aiohttp.ClientError as error:
            raise _fault(error) from None
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise BrokenFault(_COMPRESSED)
        return _AiohttpAnswer(response, clock)

    async def close(self) -> None:
        """See `Upstream`."""
        await self._session.close()


class _Clock:
    """The moments (event loop time) at which one call's limits pass."""

    __slots__ = ("_loop", "answer_at", "first_byte_at", "idle_s", "total_at")

    def __init__(self, call: Call) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self.total_at = now + call.total_s
        self.idle_s = call.idle_s
        self.answer_at = None if call.answer_s is None else now + call.answer_s
        self.first_byte_at = now + call.first_byte_s if call.answer_s is None else None

    @property
    def head_at(self) -> float:
        """Return when the wait for the answer's head ends."""
        return min(at for at in (self.total_at, self.answer_at, self.first_byte_at) if at is not None)

    def next_byte_at(self, *, started: bool) -> float:
        """Return when the wait for the next bytes ends; `started` tells that some have come already."""
        if started or self.first_byte_at is None:
            return min(self.total_at, self.answer_at or self.total_at, self._loop.time() + self.idle_s)
        return min(self.total_at, self.first_byte_at)

    def passed(self, *, started: bool) -> Limit:
        """Return which limit has passed, the widest first."""
        now = self._loop.time()
        if now >= self.total_at:
            return "total"
        if self.answer_at is not None and now >= self.answer_at:
            return "answer"
        return "first_byte" if not started and self.first_byte_at is not None else "idle"


class _AiohttpAnswer:
    """A running answer of aiohttp's."""

    __slots__ = ("_clock", "_response", "_started", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, clock: _Clock) -> None:
        self._response = response
        self._clock = clock
        self._started = False
        self.status = response.status
        self.headers = [(name.lower(), value) for name, value in response.raw_headers]

    async def chunk(self) -> bytes:
        """See `Answer`."""
        content = self._response.content
        try:
            received = content.read_nowait()
            if not received and not content.at_eof():
                async with asyncio.timeout_at(self._clock.next_byte_at(started=self._started)):
                    received = await content.readany()
        except TimeoutError:
            raise StalledFault(self._clock.passed(started=self._started)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _fault(error) from None
        self._started = True
        return received

    def close(self) -> None:
        """See `Answer`."""
        if self._response.content.at_eof() and self._response.content.exception() is None:
            self._response.release()
        else:
            self._response.close()


def _head_limit(error: TimeoutError, clock: _Clock) -> Limit:
    return "connect" if isinstance(error, aiohttp.ConnectionTimeoutError) else clock.passed(started=False)


def _fault(error: Exception) -> Fault:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return RefusedFault("unknown_host")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return RefusedFault("tls_not_trusted")
    if isinstance(error, aiohttp.ClientConnectorError):
        return RefusedFault("connect_refused")
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return BrokenFault("broken_http")
    return BrokenFault("connection_lost")


def _sized(call: Call) -> Mapping[str, str]:
    return {**call.headers, "content-length": str(len(call.body))}


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    view = memoryview(body)
    for start in range(0, len(body), _PIECE_BYTES):
        yield bytes(view[start : start + _PIECE_BYTES])
