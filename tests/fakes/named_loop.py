"""An event loop that knows names of its own: what a resolver would answer is a table that the test changes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from typing import Any

import uvloop


class NamedLoop(uvloop.Loop):
    """The loop that workers run on. A name in `names` has these addresses, in this order, once `answering` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, list[str]] = {}
        self.answering = asyncio.Event()
        self.answering.set()
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        """Answer from the table, else as the system does."""
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.names:
            return await super().getaddrinfo(host, port, **hints)
        await self.answering.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (to, port)) for to in self.names[name]]

    async def create_connection(self, *given: Any, **named: Any) -> Any:
        """Connect, and remember what a client may leave behind."""
        transport, protocol = await super().create_connection(*given, **named)
        self._connections.add(transport)
        return transport, protocol

    def close(self) -> None:
        """Drop what a client has left open: it would keep the loop from closing, and fail the next test."""
        left = [connection for connection in self._connections if not connection.is_closing()]
        for connection in left:
            connection.abort()
        if left:
            with contextlib.suppress(RuntimeError):
                self.run_until_complete(asyncio.sleep(0.05))
        super().close()
