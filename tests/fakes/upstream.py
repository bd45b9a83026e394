"""A scripted upstream on a real socket, in a thread with an event loop of its own.

A script is an async function that is given one connection (`Peer`) and does with it what upstreams do: reads or not,
sends in pieces, stalls, resets. What each connection received, and when its other side closed it, is kept for the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from gateway.proxy.upstream import Answer, Call

CERTIFICATE = Path(__file__).parent / "certificates" / "loopback.pem"
"""A self-signed certificate for 127.0.0.1, with its key, for tests alone; valid for a hundred years."""

_END_OF_HEAD = b"\r\n\r\n"
_START_S = 10.0
_SETTLE_S = 0.01
"""What the loop needs to finish what it has accepted (a closed server's connection would leak), or what was dropped."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, byte for byte; `lines` are its head's lines, `body` what followed, with chunks put together."""

    head: bytes
    body: bytes

    @property
    def lines(self) -> list[str]:
        return self.head.decode("latin-1").split("\r\n")

    @property
    def target(self) -> str:
        return self.lines[0].split(" ")[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        pairs = (line.partition(":") for line in self.lines[1:])
        return [(name.lower(), value.strip()) for name, _, value in pairs]


class PeerGoneError(Exception):
    """The other side closed while the script wanted more; ends the script."""


class Gate:
    """Closed until the test opens it, or the script does; usable from every thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def opened(self) -> None:
        await self._event.wait()


class Peer(asyncio.Protocol):
    """One connection as its script sees it. Moments are `time.monotonic()`."""

    def __init__(self, started: Callable[[Peer], None]) -> None:
        self._started = started
        self._changed = asyncio.Event()
        self._unread = bytearray()
        self._transport: asyncio.Transport | None = None
        self.received_bytes = 0
        self.requests: list[Request] = []
        self.opened_at = 0.0
        self.closed_at: float | None = None
        self.was_reset = False
        """Whether the other side reset the connection instead of closing it."""

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.opened_at = time.monotonic()
        self._started(self)

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self._unread += data
        self._changed.set()

    def eof_received(self) -> bool:
        self._note_close()
        return self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self.was_reset = isinstance(exc, ConnectionError)
        self._note_close()

    def _note_close(self) -> None:
        if self.closed_at is None:
            self.closed_at = time.monotonic()
        self._changed.set()

    async def _more(self) -> None:
        if self.closed_at is not None:
            raise PeerGoneError
        self._changed.clear()
        await self._changed.wait()

    async def _until(self, mark: bytes) -> bytes:
        while (at := self._unread.find(mark)) < 0:
            await self._more()
        taken = bytes(self._unread[:at])
        del self._unread[: at + len(mark)]
        return taken

    async def _exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            await self._more()
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken

    async def read_head(self) -> Request:
        """Read a request's head and leave its body where it is."""
        return Request(head=await self._until(_END_OF_HEAD), body=b"")

    async def read(self) -> Request:
        """Read one whole request and keep it."""
        head = (await self.read_head()).head
        headers = dict(Request(head=head, body=b"").headers)
        if headers.get("transfer-encoding") == "chunked":
            body = await self._chunked()
        else:
            body = await self._exactly(int(headers.get("content-length", "0")))
        request = Request(head=head, body=body)
        self.requests.append(request)
        return request

    async def _chunked(self) -> bytes:
        body = b""
        while size := int(await self._until(b"\r\n"), 16):
            body += (await self._exactly(size + 2))[:-2]
        await self._until(b"\r\n")
        return body

    async def send(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        """Send pieces one by one, each followed by a pause."""
        for piece in pieces:
            if self.transport.is_closing():
                raise PeerGoneError
            self.transport.write(piece)
            await asyncio.sleep(pause_s)

    async def answer(self, body: bytes = b"", *headers: bytes, status: bytes = b"200 OK") -> None:
        """Send a whole answer with its length."""
        await self.send(head(b"content-length: %d" % len(body), *headers, status=status) + body)

    async def gone(self) -> None:
        """Wait until the other side closes: a stall."""
        with contextlib.suppress(PeerGoneError):
            while True:
                await self._more()

    def stop_reading(self) -> None:
        """Take nothing more from the socket, so that the other side's writes fill up."""
        self.transport.pause_reading()

    def start_reading(self) -> None:
        self.transport.resume_reading()

    def half_close(self) -> None:
        """End what this side sends, and go on reading."""
        self.transport.write_eof()

    def close(self) -> None:
        self.transport.close()

    def reset(self) -> None:
        """Drop the connection with a reset instead of an end."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


def head(*headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer's head."""
    return b"\r\n".join((b"HTTP/1.1 " + status, *headers, b"", b""))


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
    peers: list[Peer] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    """What scripts raised, other than that the other side was gone."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

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
def serving(*scripts: Script, tls: bool = False, receive_buffer_bytes: int | None = None) -> Iterator[FakeUpstream]:
    """Run a fake for the length of a test; a script's own mistake fails the test at the end."""
    loop = asyncio.new_event_loop()
    listener = socket.socket()
    if receive_buffer_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    fake = FakeUpstream(scripts=scripts or (echoing,), loop=loop, port=port, scheme="https" if tls else "http")
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


def call_to(base: str, body: bytes = b'{"model":"m"}', **changes: Any) -> Call:
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


async def whole(answer: Answer) -> bytes:
    """Read an answer to its end and close it."""
    body = b""
    try:
        while piece := await answer.chunk():
            body += piece
    finally:
        answer.close()
    return body
