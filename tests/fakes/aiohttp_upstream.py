"""aiohttp behind the `Upstream` port: a client for the record of the contract suite."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from gateway.proxy.upstream import (
    Answer,
    BrokenFault,
    Call,
    Clock,
    Fault,
    RefusedFault,
    Source,
    StalledFault,
    unusable,
)

_POOLED_IDLE_S = 15.0
_NAMES_S = 10
_MAX_HEADERS, _MAX_HEADER_BYTES = 128, 16 * 1024
_PIECE_BYTES = 256 * 1024
"""aiohttp warns of bodies over 1 MiB sent in one piece; larger bodies are handed over in pieces of this size."""


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
        clock = Clock(call)
        head_at, limit = clock.head()
        body = _Sent(call.body, clock) if not isinstance(call.body, bytes) else None
        try:
            async with asyncio.timeout_at(head_at) as bound:
                if body is not None:
                    body.bound = bound
                response = await self._session.request(
                    call.method,
                    URL(call.url, encoded=True),
                    headers=_framed(call),
                    data=_handed_over(call.body) if body is None else aiter(body),
                    timeout=aiohttp.ClientTimeout(connect=call.connect_s, ceil_threshold=float("inf")),
                    allow_redirects=False,
                )
        except TimeoutError as error:
            _, limit = clock.head()
            raise StalledFault("connect" if isinstance(error, aiohttp.ConnectionTimeoutError) else limit) from None
        except (aiohttp.ClientError, ValueError) as error:
            if body is not None and body.error is not None:
                raise body.error from None
            raise _fault(error) from None
        answer = _AiohttpAnswer(response, clock)
        if (kind := unusable(answer)) is not None:
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


class _Sent:
    """A streamed body as aiohttp takes it. It knows no limit for the sending itself: only the total."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self.bound: asyncio.Timeout | None = None
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await self._source.piece():
                yield piece
        except Exception as error:
            self.error = error
            raise
        self._clock.sent()
        if self.bound is not None and not self.bound.expired():
            self.bound.reschedule(self._clock.head()[0])


def _framed(call: Call) -> dict[str, str]:
    size_bytes = None if isinstance(call.body, bytes) else call.body.size_bytes
    return {**call.headers} if size_bytes is None else {**call.headers, "content-length": str(size_bytes)}


def _handed_over(body: bytes | Source) -> bytes | io.BytesIO:
    assert isinstance(body, bytes)
    return body if len(body) <= _PIECE_BYTES else io.BytesIO(body)


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


class _AiohttpAnswer:
    """A running answer of aiohttp's."""

    __slots__ = ("_clock", "_response", "_started", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, clock: Clock) -> None:
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
