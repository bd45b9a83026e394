"""A scripted upstream on a real socket, in a thread with an event loop of its own.

A script is an async function that is given one connection (`Peer`) and does with it what upstreams do: reads or not,
sends in pieces, stalls, resets. What each connection received, and when its other side closed it, is kept for the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from gateway.proxy.upstream import Answer, Call, Source
from tests.fakes.peer import Gate, Peer, PeerGoneError, Request

CERTIFICATE = Path(__file__).parent / "certificates" / "loopback.pem"
"""A self-signed certificate for 127.0.0.1, with its key, for tests alone; valid for a hundred years."""

_START_S = 10.0
_SETTLE_S = 0.01
"""What the loop needs to finish what it has accepted (a closed server's connection would leak), or what was dropped."""


Script = Callable[[Peer], Awaitable[None]]


def chunk(content: bytes) -> bytes:
    """Return one chunk of a chunked body; of b"" the last one."""
    return b"%x\r\n%b\r\n" % (len(content), content)


CHUNKED = b"transfer-encoding: chunked"


async def echoing(peer: Peer) -> None:
    """Answer every request of a connection with its own body."""
    while True:
        await peer.answer((await peer.read()).body)


@dataclass(kw_only=True)
class FakeUpstream:
    """A running fake: the n-th connection follows the n-th script, every later one the last script."""

    scripts: Sequence[Script]
    loop: asyncio.AbstractEventLoop
    port: int
    scheme: str
    host: str
    peers: list[Peer] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    """What scripts raised, other than that the other side was gone."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """Return the requests that were read, of every connection."""
        return [request for peer in self.peers for request in peer.requests]

    def gate(self) -> Gate:
        return Gate(self.loop)

    def open_peers(self) -> list[Peer]:
        """Return the connections that the other side has not closed."""
        return [peer for peer in self.peers if peer.closed_at is None]

    async def all_closed(self, within_s: float) -> bool:
        """Tell whether the other side closes every connection in time."""
        deadline = time.monotonic() + within_s
        while self.open_peers() and time.monotonic() < deadline:  # noqa: ASYNC110 - they change in another thread
            await asyncio.sleep(0.005)
        return not self.open_peers()


def _make_peer(fake: FakeUpstream, running: set[asyncio.Task[None]]) -> Peer:
    def started(peer: Peer) -> None:
        fake.peers.append(peer)
        script = fake.scripts[min(len(fake.peers), len(fake.scripts)) - 1]
        running.add(fake.loop.create_task(_run(fake, peer, script)))

    return Peer(started)


async def _run(fake: FakeUpstream, peer: Peer, script: Script) -> None:
    """Follow the script; whatever it leaves open is closed when the other side closes."""
    try:
        await script(peer)
        await peer.gone()
    except PeerGoneError:
        pass
    except Exception as fault:  # noqa: BLE001 - a script's mistake must reach the test
        fake.faults.append(fault)
    finally:
        peer.close()


async def _serve(
    fake: FakeUpstream,
    listener: socket.socket,
    context: ssl.SSLContext | None,
    ready: threading.Event,
    end: asyncio.Event,
) -> None:
    running: set[asyncio.Task[None]] = set()
    server = await fake.loop.create_server(lambda: _make_peer(fake, running), sock=listener, ssl=context, backlog=1024)
    ready.set()
    await end.wait()
    await asyncio.sleep(_SETTLE_S)
    server.close()
    for peer in fake.peers:
        peer.transport.abort()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.sleep(_SETTLE_S)


@contextlib.contextmanager
def serving(
    *scripts: Script,
    tls: bool = False,
    receive_buffer_bytes: int | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[FakeUpstream]:
    """Run a fake for the length of a test; a script's own mistake fails the test at the end."""
    loop = asyncio.new_event_loop()
    listener = socket.socket()
    if receive_buffer_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    port = listener.getsockname()[1]
    fake = FakeUpstream(
        scripts=scripts or (echoing,), loop=loop, port=port, scheme="https" if tls else "http", host=host
    )
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
    ready, end = threading.Event(), asyncio.Event()
    serve = _serve(fake, listener, context, ready, end)
    thread = threading.Thread(target=loop.run_until_complete, args=(serve,), daemon=True)
    thread.start()
    assert ready.wait(_START_S)
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()
    assert not fake.faults


def closed_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def hanging_listener() -> Iterator[int]:
    """Return the port of a listener whose queue is full: the kernel drops every further attempt to connect."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]


def call_to(base: str, body: bytes | Source = b'{"model":"m"}', **changes: Any) -> Call:
    """Return a streamed request with limits that no healthy upstream reaches."""
    call = Call(
        method="POST",
        url=f"{base}/v1/chat/completions",
        headers={"content-type": "application/json"},
        body=body,
        connect_s=10.0,
        first_byte_s=10.0,
        idle_s=10.0,
        answer_s=None,
        total_s=10.0,
    )
    return msgspec.structs.replace(call, **changes)


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for what another thread, or another task, brings about."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - it changes in another thread
            await asyncio.sleep(0.01)


async def whole(answer: Answer) -> bytes:
    """Read an answer to its end and close it."""
    pieces: list[bytes] = []
    try:
        while piece := await answer.chunk():
            pieces.append(piece)
    finally:
        answer.close()
    return b"".join(pieces)
