"""A TCP proxy on a real socket that spoils what passes: late, in drips, reset, half closed, or not at all.

Each direction has a fault of its own, which may change while connections are open; a new link is clean.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio.from_thread import BlockingPortal, start_blocking_portal

_PIECE_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)
_SETTLE_S = 0.01
"""What the loop needs to close what was aborted."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What becomes of the bytes of one direction; as it stands here, nothing.

    Every piece waits `delay_s`. With `drip_bytes` so many pass, and then `drip_s` go by. Once `reset_at_bytes` of a
    connection have passed in this direction (0: at once), both its sides are reset; at `half_close_at_bytes` the
    direction ends, and what still comes is dropped. What it `swallows` is not passed on until the fault is over.
    """

    delay_s: float = 0.0
    drip_bytes: int = 0
    drip_s: float = 0.0
    reset_at_bytes: int | None = None
    half_close_at_bytes: int | None = None
    swallows: bool = False

    def resets(self, passed_bytes: int) -> bool:
        return self.reset_at_bytes is not None and passed_bytes >= self.reset_at_bytes

    def half_closes(self, passed_bytes: int) -> bool:
        return self.half_close_at_bytes is not None and passed_bytes >= self.half_close_at_bytes

    def room_bytes(self, passed_bytes: int) -> int:
        """Return how much may pass before something happens."""
        marks = [mark - passed_bytes for mark in (self.reset_at_bytes, self.half_close_at_bytes) if mark is not None]
        return min(self.drip_bytes or _PIECE_BYTES, *marks, _PIECE_BYTES)


CLEAN = Fault()


class _Way:
    """One direction of all connections: its present fault, and how to wait for the next one."""

    def __init__(self) -> None:
        self.fault = CLEAN
        self._changed = asyncio.Event()

    def turn(self, fault: Fault) -> None:
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        await self._changed.wait()

    async def read(self, reader: asyncio.StreamReader) -> bytes | None:
        """Return what comes, b"" at the end, or None when the fault changes first."""
        reading = asyncio.ensure_future(reader.read(_PIECE_BYTES))
        changing = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((reading, changing), return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            changing.cancel()
            reading.cancel()
            await asyncio.wait((reading,))


class Link:
    """A running proxy: connect to `port` to reach its target; `accepted` counts the connections."""

    def __init__(self, target_port: int, portal: BlockingPortal) -> None:
        self.port = 0
        self.accepted = 0
        self._target_port = target_port
        self._portal = portal
        self._upward, self._downward = _Way(), _Way()
        self._open: set[asyncio.Task[None]] = set()

    def turn(self, *, upward: Fault = CLEAN, downward: Fault = CLEAN) -> None:
        """From now on, for open connections too, treat what goes to the target, and what comes from it, like this."""
        self._portal.call(self._turn, upward, downward)

    def _turn(self, upward: Fault, downward: Fault) -> None:
        self._upward.turn(upward)
        self._downward.turn(downward)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Link]:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await asyncio.sleep(_SETTLE_S)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._join(reader, writer)
        except OSError:
            _reset(writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._open.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        on_reader, on_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        ways = [
            asyncio.ensure_future(_pump(self._upward, reader, on_writer)),
            asyncio.ensure_future(_pump(self._downward, on_reader, writer)),
        ]
        try:
            await asyncio.gather(*ways)
            writer.close()
            on_writer.close()
        except OSError:
            _reset(on_writer)
            raise
        except asyncio.CancelledError:
            on_writer.transport.abort()
            raise
        finally:
            for way in ways:
                way.cancel()


async def _pump(way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one direction of one connection to its end; raises `OSError` when both sides are to be reset."""
    passed_bytes, held = 0, b""
    while not (fault := way.fault).half_closes(passed_bytes):
        if fault.resets(passed_bytes):
            raise ConnectionResetError
        if fault.swallows:
            await way.change()
            continue
        if not held:
            read = await way.read(reader)
            if read == b"":
                break
            held = read or b""
            await asyncio.sleep(way.fault.delay_s)
            continue
        room_bytes = fault.room_bytes(passed_bytes)
        passing, held = held[:room_bytes], held[room_bytes:]
        writer.write(passing)
        await writer.drain()
        passed_bytes += len(passing)
        await asyncio.sleep(fault.drip_s)
    with contextlib.suppress(OSError):
        writer.write_eof()
    while await reader.read(_PIECE_BYTES):
        pass


def _reset(writer: asyncio.StreamWriter) -> None:
    """Drop one side with a reset instead of an end."""
    if not writer.transport.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@contextlib.contextmanager
def linked(target_port: int) -> Iterator[Link]:
    """Run a link to a port of 127.0.0.1, in a thread with an event loop of its own."""
    with start_blocking_portal("asyncio") as portal:
        link = Link(target_port, portal)
        with portal.wrap_async_context_manager(link.running()):
            yield link
