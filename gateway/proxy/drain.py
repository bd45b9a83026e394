"""How a worker stops: it takes no more connections, answers what was asked, and breaks off nothing.

A connection that is open and quiet may carry a request at this very moment. So it is not closed: its next answer says
`connection: close`, or its keep-alive timer ends it. An answer that has begun without saying so keeps its connection.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.proxy.cycle import Cycle


class DrainState(ServerState):
    """What all connections of a server share; `is_draining` goes on once and stays on."""

    is_draining = False


class DrainingProtocol(HttpToolsProtocol):
    """One connection, which outlives the beginning of the drain until it has nothing more to answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection that was accepted while the drain began, as those before."""
        super().connection_made(transport)
        if self._is_draining():
            self.await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answers that the caller has left."""
        super().connection_lost(exc)
        if isinstance(self.cycle, Cycle) and self.cycle.disconnected:
            self.cycle.gone()

    def on_headers_complete(self) -> None:
        """Start the application; during the drain its answer is this connection's last."""
        parser = cast("httptools.HttpRequestParser", self.parser)
        version = parser.get_http_version()
        target = httptools.parse_url(self.url)
        raw_path = cast("bytes | None", target.path) or b"/"
        path = raw_path.decode("ascii")
        self.scope["method"] = parser.get_method().decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = raw_path
        self.scope["query_string"] = target.query or b""
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive() and not self._is_draining(),
            on_response=self.on_response_complete,
        )
        running = self.cycle.run_asgi(self.app)  # pyright: ignore - uvicorn types applications more widely than it calls them
        task = self.loop.create_task(running)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def shutdown(self) -> None:
        """Begin the drain: an answer that has not begun is the last; a connection without one waits for a request."""
        if self.cycle is None:  # pyright: ignore[reportUnnecessaryComparison] - declared as never None, and is at first
            self.await_request()
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False

    def _is_draining(self) -> bool:
        return isinstance(self.server_state, DrainState) and self.server_state.is_draining

    def await_request(self) -> None:
        """End a connection that never sends anything; the first byte stops this timer as that of keep-alive."""
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )


class DrainingServer(uvicorn.Server):
    """A server of draining connections; `on_ready` is called once it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._drain_state = DrainState()
        self.server_state = self._drain_state
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell so."""
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain: stop accepting, and return when every connection has ended or the grace is over."""
        self._drain_state.is_draining = True
        await super().shutdown(sockets)
