"""The only way out: send one request to an upstream, hand its bytes on as they arrive, end every stall.

The port is `Upstream`; its contract suite is `tests/contracts/test_upstream.py`. Law: a body is never sent twice, a
cancelled request closes its connection at once, and nothing of the environment (proxies, netrc) or of the upstream
(cookies, redirects) changes where a request goes.

    Fault                   what the upstream did
    ├── RefusedFault        could not be connected to, or the request could not be written: nothing was sent
    ├── StalledFault        did not come up with a byte in time; `limit` names which time
    └── BrokenFault         closed, reset or broke HTTP's framing after the request may have been sent
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import aiohttp
import msgspec
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

Limit = Literal["connect", "first_byte", "idle", "answer", "total"]
Header = tuple[bytes, bytes]

_POOLED_IDLE_S = 15.0
"""Shorter than the idle limit of common upstreams and balancers (60 s and more): we close first (promise 13)."""
_NAMES_S = 10
_MAX_HEADERS, _MAX_HEADER_BYTES = 128, 16 * 1024
_PLAIN_CODINGS = {b"content-encoding": (b"identity", b""), b"transfer-encoding": (b"chunked", b"identity", b"")}
_PIECE_BYTES = 256 * 1024
"""aiohttp warns of bodies over 1 MiB sent in one piece; larger bodies are handed over in pieces of this size."""


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


class AiohttpUpstream:
    """`Upstream` on aiohttp; one per worker."""

    def __init__(self, *, pooled_idle_s: float = _POOLED_IDLE_S, names_s: int = _NAMES_S) -> None:
        self._connector = _Connector(pooled_idle_s, names_s)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(self._once,),
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
        head_at, limit = clock.head()
        try:
            async with asyncio.timeout_at(head_at):
                response = await self._session.request(
                    call.method,
                    URL(call.url, encoded=True),
                    headers=call.headers,
                    data=call.body if len(call.body) <= _PIECE_BYTES else io.BytesIO(call.body),
                    timeout=aiohttp.ClientTimeout(connect=call.connect_s, ceil_threshold=float("inf")),
                    allow_redirects=False,
                )
        except TimeoutError as error:
            raise StalledFault("connect" if isinstance(error, aiohttp.ConnectionTimeoutError) else limit) from None
        except (aiohttp.ClientError, ValueError) as error:
            raise _fault(error) from None
        answer = _AiohttpAnswer(response, clock)
        if (kind := _unusable(answer)) is not None:
            answer.close()
            raise BrokenFault(kind)
        return answer

    async def close(self) -> None:
        """See `Upstream`."""
        await self._session.close()

    async def _once(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Keep aiohttp from sending again (idempotent requests), and from a host's old addresses if it is not there."""
        try:
            return await send(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ConnectionTimeoutError) as error:
            if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
                self._connector.clear_dns_cache(request.url.raw_host, request.url.port)
            raise (error if isinstance(error, TimeoutError) else _fault(error)) from None


class _Connection(ResponseHandler):
    """A connection of aiohttp's that ends at once, and tells the reader of its answer why."""

    def close(self) -> None:
        """Drop what is not sent yet, or an upstream that never reads would keep the connection open for ever."""
        self._break(aiohttp.ClientConnectionError())
        self.abort()

    def is_connected(self) -> bool:
        """Tell whether it can be used again: bytes that came unasked would be taken for the next request's answer."""
        return super().is_connected() and not self.should_close

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Pass broken framing on to the reader, which aiohttp leaves waiting until a limit passes."""
        super().set_exception(exc, exc_cause or exc)
        if isinstance(exc, HttpProcessingError):
            self._break(exc)

    def _break(self, error: Exception) -> None:
        content = self._payload
        if content is not None and not content.is_eof() and content.exception() is None:
            content.set_exception(error)


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool, of our connections."""

    def __init__(self, pooled_idle_s: float, names_s: int) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType] - aiohttp leaves a type of its own open
            limit=0, keepalive_timeout=pooled_idle_s, ttl_dns_cache=names_s
        )
        self._factory = lambda: _Connection(self._loop)


class _Clock:
    """The moments (event loop time) at which one call's limits pass, each with its name."""

    __slots__ = ("_end", "_first_byte", "_idle_s", "_loop")

    def __init__(self, call: Call) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        total: tuple[float, Limit] = (now + call.total_s, "total")
        self._end = total if call.answer_s is None else min(total, (now + call.answer_s, "answer"))
        self._first_byte = (now + call.first_byte_s, "first_byte") if call.answer_s is None else self._end
        self._idle_s = call.idle_s

    def head(self) -> tuple[float, Limit]:
        """Return when the wait for the answer's head ends."""
        return min(self._end, self._first_byte)

    def next_byte(self, *, started: bool) -> tuple[float, Limit]:
        """Return when the wait for the next bytes ends; `started` tells that some have come already."""
        if started or self._first_byte is self._end:
            return min(self._end, (self._loop.time() + self._idle_s, "idle"))
        return min(self._end, self._first_byte)

    def check(self) -> None:
        """Raise `StalledFault` when the whole answer's time is over: bytes that never cease would outrun every wait."""
        at, limit = self._end
        if self._loop.time() >= at:
            raise StalledFault(limit)


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
                received = await self._next()
        except (aiohttp.ClientError, HttpProcessingError) as error:
            received = self._left()
            if not received:
                raise _fault(error) from None
        if received:
            self._clock.check()
        self._started = True
        return received

    async def _next(self) -> bytes:
        at, limit = self._clock.next_byte(started=self._started)
        try:
            async with asyncio.timeout_at(at):
                return await self._response.content.readany()
        except TimeoutError:
            raise StalledFault(limit) from None

    def _left(self) -> bytes:
        """Return what came before the break and was not read yet, which aiohttp keeps back."""
        pieces = self._response.content._buffer  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no public way
        left = b"".join(pieces)
        pieces.clear()
        return left

    def close(self) -> None:
        """See `Answer`."""
        self._response.close()


def _unusable(answer: Answer) -> str | None:
    """Return why nobody could relay this answer: no final status (RFC 9110, section 15), or a coding."""
    if not 200 <= answer.status <= 599:
        return "broken_http"
    coded = any(name in _PLAIN_CODINGS and value.lower() not in _PLAIN_CODINGS[name] for name, value in answer.headers)
    return "compressed" if coded else None


_FAULTS: Sequence[tuple[tuple[type[Exception], ...], type[RefusedFault | BrokenFault], str]] = (
    ((aiohttp.ClientConnectorDNSError, UnicodeError), RefusedFault, "unknown_host"),
    ((aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError), RefusedFault, "tls_not_trusted"),
    ((aiohttp.ClientConnectorError,), RefusedFault, "connect_refused"),
    ((aiohttp.NonHttpUrlClientError, ValueError), RefusedFault, "not_sendable"),
    ((aiohttp.ClientResponseError, HttpProcessingError), BrokenFault, "broken_http"),
    ((Exception,), BrokenFault, "connection_lost"),
)
"""What aiohttp's errors mean here; the first row that fits."""


def _fault(error: Exception) -> Fault:
    return next(fault(kind) for errors, fault, kind in _FAULTS if isinstance(error, errors))
