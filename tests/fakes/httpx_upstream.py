"""`Upstream` on httpx, for the record: the same contract suite shows what the product's client was chosen for.

It is httpx's best case: its transport alone (no cookies, no redirects, nothing of the environment), a pool without a
limit, the target as given, the product's own clock around every wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence

import httpx

from gateway.proxy.upstream import (
    Answer,
    BrokenFault,
    Call,
    Clock,
    Fault,
    Header,
    RefusedFault,
    Source,
    StalledFault,
    unusable,
)

_AT_HAND_S = 0.05
"""How long a read may take of bytes that have come already: httpx reads nothing ahead."""
_CLOSED = ("Server disconnected", "peer closed connection")
"""httpx says that a connection ended as if it were a breach of HTTP; only its text tells the two apart."""


class HttpxUpstream:
    """One pool, of `most` connections. It looks a name up with every connection, so that `names_s` changes nothing."""

    def __init__(self, *, pooled_idle_s: float = 15.0, names_s: int = 0, most: int | None = None) -> None:
        self._transport = httpx.AsyncHTTPTransport(
            verify=ssl.create_default_context(),
            trust_env=False,
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=None, keepalive_expiry=pooled_idle_s),
        )
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, call: Call) -> Answer:
        clock = Clock(call)
        head_at, limit = clock.head()
        try:
            request = _request(call)
            async with asyncio.timeout_at(head_at) as bound:
                if not isinstance(call.body, bytes):
                    request.stream = _Sent(call.body, clock, bound)
                response = await self._transport.handle_async_request(request)
        except TimeoutError:
            _, limit = clock.head()
            raise StalledFault(limit) from None
        except httpx.ConnectTimeout:
            raise StalledFault("connect") from None  # noqa: EM101 - the name of a limit
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError) as error:
            raise _fault(error) from None
        answer = _HttpxAnswer(response, clock, self._closing)
        if (kind := unusable(answer)) is not None:
            answer.close()
            raise BrokenFault(kind)
        return answer

    async def close(self) -> None:
        await asyncio.gather(*self._closing, return_exceptions=True)
        with contextlib.suppress(Exception):
            await self._transport.aclose()


class _Sent(httpx.AsyncByteStream):
    """A streamed body as httpx takes it: to its end before the answer is read, and with no limit but the total."""

    def __init__(self, source: Source, clock: Clock, bound: asyncio.Timeout) -> None:
        self._source = source
        self._clock = clock
        self._bound = bound

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._source.piece():
            yield piece
        self._clock.sent()
        if not self._bound.expired():
            self._bound.reschedule(self._clock.head()[0])


class _HttpxAnswer:
    def __init__(self, response: httpx.Response, clock: Clock, closing: set[asyncio.Task[None]]) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self._pieces = aiter(response.stream)
        self._clock = clock
        self._closing = closing
        self._started = False
        self.status = response.status_code
        self.headers: Sequence[Header] = [(name.lower(), value) for name, value in response.headers.raw]

    async def chunk(self) -> bytes:
        at, limit = self._clock.next_byte(started=self._started)
        try:
            async with asyncio.timeout_at(max(at, asyncio.get_running_loop().time() + _AT_HAND_S)):
                received = await anext(self._pieces, b"")
                if not received:
                    await self._stream.aclose()
        except TimeoutError:
            raise StalledFault(limit) from None
        except httpx.HTTPError as error:
            raise _fault(error) from None
        if received:
            self._clock.check()
        self._started = True
        return received

    def close(self) -> None:
        """Begin to close: httpx has no way to do it at once."""
        task = asyncio.get_running_loop().create_task(self._stream.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _request(call: Call) -> httpx.Request:
    origin = call.url.split("/", 3)
    target = "/" + origin[3] if len(origin) > 3 else "/"
    headers = {**call.headers}
    if not isinstance(call.body, bytes):
        size_bytes = call.body.size_bytes
        framing = ("transfer-encoding", "chunked") if size_bytes is None else ("content-length", str(size_bytes))
        headers[framing[0]] = framing[1]
    return httpx.Request(
        call.method,
        call.url,
        headers=headers,
        content=call.body if isinstance(call.body, bytes) else None,
        extensions={"timeout": {"connect": call.connect_s}, "target": target.encode("ascii")},
    )


def _fault(error: Exception) -> Fault:
    if isinstance(error, httpx.ConnectError):
        return RefusedFault(_why_refused(error))
    if isinstance(
        error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError | ValueError | TypeError
    ):
        return RefusedFault("not_sendable")
    if isinstance(error, httpx.RemoteProtocolError) and not str(error).startswith(_CLOSED):
        return BrokenFault("broken_http")
    return BrokenFault("connection_lost")


def _why_refused(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, socket.gaierror):
            return "unknown_host"
        if isinstance(error, ssl.SSLError):
            return "tls_not_trusted"
        error = error.__cause__ or error.__context__
    return "connect_refused"
