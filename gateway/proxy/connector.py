"""The upstream client: plain HTTP/1.1 on pooled connections, one request on each at a time.

Law: nothing is sent twice, and nothing decides where a request goes but its URL: no proxy, cookie, redirect or
environment. A connection that was idle for too long, or that ended, is never used.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from functools import partial

from gateway.proxy.connection import Connection
from gateway.proxy.http1 import NotSendableError, Origin, request_head, target
from gateway.proxy.names import Names, UnknownHostError
from gateway.proxy.upstream import Answer, BrokenFault, Call, Clock, RefusedFault, StalledFault, unusable

_POOLED_IDLE_S = 15.0
"""Shorter than the idle limit of common upstreams and balancers (60 s and more): we close first."""
_NAMES_S = 10


_NOT_SENDABLE = "not_sendable"
_UNKNOWN_HOST = "unknown_host"
_NOT_TRUSTED = "tls_not_trusted"
_CONNECT_REFUSED = "connect_refused"


class Http1Upstream:
    """`Upstream` of our own; one per worker."""

    def __init__(self, *, pooled_idle_s: float = _POOLED_IDLE_S, names_s: int = _NAMES_S) -> None:
        self._loop = asyncio.get_running_loop()
        self._names = Names(names_s)
        self._pooled_idle_s = pooled_idle_s
        self._kept: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._open: set[Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._trust: ssl.SSLContext | None = None
        self._is_closed = False

    async def send(self, call: Call) -> Answer:
        """See `Upstream`."""
        clock = Clock(call)
        try:
            to = target(call.url)
            size_bytes = len(call.body) if isinstance(call.body, bytes) else call.body.size_bytes
            head = request_head(call.method, to, call.headers, size_bytes)
        except NotSendableError:
            raise RefusedFault(_NOT_SENDABLE) from None
        connection = self._kept_connection(to.origin) or await self._connected(to.origin, call, clock)
        answer = connection.send(call.method, head, call.body, clock)
        try:
            await answer.head()
        except BaseException:
            answer.close()
            raise
        if (kind := unusable(answer)) is not None:
            answer.close()
            raise BrokenFault(kind)
        return answer

    async def close(self) -> None:
        """See `Upstream`."""
        self._is_closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._names.close()
        for connection in list(self._open):
            connection.abort()
        self._kept.clear()

    def _kept_connection(self, origin: Origin) -> Connection | None:
        kept = self._kept.get(origin)
        while kept:
            connection = kept.pop()
            if not connection.is_open:
                continue
            if self._loop.time() - connection.kept_at <= self._pooled_idle_s and connection.is_quiet:
                return connection
            connection.abort()
        return None

    async def _connected(self, origin: Origin, call: Call, clock: Clock) -> Connection:
        if self._is_closed:
            message = "this client was closed"
            raise RuntimeError(message)
        due_at, limit = min(clock.connect(call.connect_s), clock.head())
        try:
            async with asyncio.timeout_at(due_at):
                return await self._dialled(origin, due_at)
        except TimeoutError:
            self._names.forget(origin.host)
            raise StalledFault(limit) from None
        except UnknownHostError:
            raise RefusedFault(_UNKNOWN_HOST) from None
        except ssl.SSLError:
            raise RefusedFault(_NOT_TRUSTED) from None
        except OSError:
            self._names.forget(origin.host)
            raise RefusedFault(_CONNECT_REFUSED) from None

    async def _dialled(self, origin: Origin, due_at: float) -> Connection:
        """Connect to the first address that takes it; one that hangs leaves the others their part of the time."""
        addresses = [origin.host] if origin.is_literal else await self._names.addresses(origin.host)
        for left in range(len(addresses), 1, -1):
            part_s = (due_at - self._loop.time()) / left
            try:
                async with asyncio.timeout(part_s):
                    return await self._to(origin, addresses[-left])
            except ssl.SSLError:
                raise
            except OSError:
                continue
        return await self._to(origin, addresses[-1])

    async def _to(self, origin: Origin, address: str) -> Connection:
        make = partial(self._made, origin)
        trust, name = (self._trusting(), origin.host) if origin.is_tls else (None, None)
        _, made = await self._loop.create_connection(make, address, origin.port, ssl=trust, server_hostname=name)
        return made

    def _made(self, origin: Origin) -> Connection:
        connection = Connection(partial(self._keep, origin), self._open.discard)
        self._open.add(connection)
        return connection

    def _trusting(self) -> ssl.SSLContext:
        if self._trust is None:
            self._trust = ssl.create_default_context()
        return self._trust

    def _keep(self, origin: Origin, connection: Connection) -> None:
        connection.kept_at = self._loop.time()
        self._kept[origin].append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(self._pooled_idle_s, self._sweep)

    def _sweep(self) -> None:
        """Close what nobody used for too long; look again as long as something is kept."""
        self._sweeping = None
        expired_at = self._loop.time() - self._pooled_idle_s
        for origin, kept in list(self._kept.items()):
            for connection in kept:
                if connection.is_open and connection.kept_at <= expired_at:
                    connection.abort()
            self._kept[origin] = [connection for connection in kept if connection.is_open]
            if not self._kept[origin]:
                del self._kept[origin]
        if self._kept:
            self._sweeping = self._loop.call_later(self._pooled_idle_s / 2, self._sweep)
