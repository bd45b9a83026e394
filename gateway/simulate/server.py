"""Run a simulated server: as a process of its own, or inside a running event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Generator, Sequence

import msgspec
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.simulate.app import Application
from gateway.simulate.config import BadSimulationError, Simulation
from gateway.simulate.faults import TRANSPORT
from gateway.simulate.tally import Tally

_GRACE_S = 1


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated server inside this process: where it listens (`http://host:port/v1`) and what it counted."""

    base_url: str
    tally: Tally


def listen(config: Simulation) -> socket.socket:
    """Open the configured listening socket; port 0 lets the system choose.

    Raises:
        BadSimulationError: the address cannot be had.
    """
    try:
        listening = socket.create_server((config.host, config.port), backlog=2048)
    except OSError as error:
        message = f"cannot listen on {config.host}:{config.port} ({error.strerror}); choose another with --port"
        raise BadSimulationError(message) from error
    # Inherited by what is accepted. asyncio sets it only where the socket's protocol number is known, which it is not
    # here; and an answer's head and body are two writes, which Nagle's algorithm would hold 40 ms apart.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def base_url(listening: socket.socket) -> str:
    """Return the address that clients are given."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def announcement(config: Simulation, listening: socket.socket) -> str:
    """Return the one JSON line by which programs learn address and models."""
    return msgspec.json.encode({"base_url": base_url(listening), "models": list(config.models)}).decode()


def run(config: Simulation, *, sockets: Sequence[socket.socket]) -> None:
    """Serve on already listening sockets until SIGTERM or SIGINT, which ends the process as that signal does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(config, sockets))


async def _serve(config: Simulation, sockets: Sequence[socket.socket]) -> None:
    await uvicorn.Server(_settings(Application(config))).serve(sockets=list(sockets))


@contextlib.asynccontextmanager
async def running(config: Simulation) -> AsyncGenerator[Running]:
    """Serve inside this event loop while the block lasts; answers still open after a second are broken off."""
    listening = listen(config)
    application = Application(config)
    server = _Guest(_settings(application))
    task = asyncio.create_task(server.serve(sockets=[listening]), name="simulated server")
    try:
        await server.listening.wait()
        yield Running(base_url=base_url(listening), tally=application.tally)
    finally:
        server.should_exit = True
        await task


class _Guest(uvicorn.Server):
    """A server that leaves signals to its host, and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class _Protocol(HttpToolsProtocol):
    """Leaves the connection's transport in the scope, for faults that drop it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"] = {TRANSPORT: self.transport}


def _settings(application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application,  # pyright: ignore[reportArgumentType] - uvicorn's ASGI types are private; ours are the same messages
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE_S,
    )
