"""What callers get while a worker has no snapshot to decide by: 503 at once, in the place of silence.

The law: it steals from nobody. The port belongs to all workers of a host, so it takes nothing while another of them
serves, as their status pages tell; and it stops before the worker itself accepts.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from analytics.journal import status
from gateway.errors import ShedError
from gateway.proxy.entry import new_request_id
from gateway.proxy.refusal import refusal

PATIENCE_S = 1.0
"""How long a worker may look for a snapshot before callers are told: a start on its way keeps them waiting instead."""
_LOOK_S = 0.1
_FRESH_US = 2_000_000
"""Who serves refreshes its page ten times a second; one that has no snapshot yet never has, one that stands still does
not any more."""
_HEAD_S = 5.0
_LINGER_S = 1.0
_LARGEST_HEAD_BYTES = 64 * 1024
_MOST_AT_ONCE = 256
_MESSAGE = "This gateway has not heard yet what is in force; try again in a moment."


class Unready:
    """Answers on `listener` from `patience_s` after the first `tell` until `end`, in a thread of its own.

    `is_served` tells whether another worker accepts there.
    """

    def __init__(self, listener: socket.socket, is_served: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
        self._listener = listener
        self._is_served = is_served
        self._patience_s = patience_s
        self._reason = ""
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, reason: str) -> None:
        """Say why the worker is not ready, from now on."""
        self._reason = reason
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="unready", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Answer nobody any more; what is being answered gets a second."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        if not self._is_over.wait(self._patience_s):
            asyncio.run(self._answer_all())

    async def _answer_all(self) -> None:
        running: set[asyncio.Task[None]] = set()
        with self._listener.dup() as listener:
            listener.settimeout(0)
            while not self._is_over.is_set():
                await asyncio.sleep(_LOOK_S)
                if self._is_served():
                    continue
                while len(running) < _MOST_AT_ONCE and (taken := _accepted(listener)) is not None:
                    running.add(task := asyncio.create_task(self._answer(taken)))
                    task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running, timeout=_LINGER_S)

    async def _answer(self, taken: socket.socket) -> None:
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            reader, writer = await asyncio.open_connection(sock=taken, limit=_LARGEST_HEAD_BYTES)
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_S)
                writer.write(answer_to(head, self._reason, lambda: new_request_id(time.time_ns() // 1000)))
                writer.write_eof()
                # Who is still sending its body would lose the answer if the connection were closed at once.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER_S):
                        while await reader.read(_LARGEST_HEAD_BYTES):
                            pass
            finally:
                writer.close()


def another_serves(directory: Path, name: str, now_us: int) -> bool:
    """Tell whether a worker other than `name` serves, by the status pages in `directory`; `now_us` since 1970 UTC."""
    for path in directory.glob("*.status"):
        if path.stem == name:
            continue
        with suppress(OSError, status.StatusError):
            page = status.read(path)
            if now_us - page.updated_at < _FRESH_US and status.is_alive(page):
                return True
    return False


def answer_to(head: bytes, reason: str, request_id: Callable[[], str]) -> bytes:
    """Return the whole answer to the request with this head."""
    target = head.split(b" ", 2)[1:2]
    path = target[0].partition(b"?")[0] if target else b""
    if path == b"/healthz":
        return _plain(b"200 OK", "ok")
    if path == b"/readyz":
        return _plain(b"503 Service Unavailable", f"not ready: {reason}", b"retry-after: 1\r\n")
    return refusal(ShedError(_MESSAGE), request_id())


def _plain(status: bytes, text: str, further: bytes = b"") -> bytes:
    body = text.encode()
    lines = b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\ncontent-length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + lines + further + b"\r\n" + body


def _accepted(listener: socket.socket) -> socket.socket | None:
    try:
        taken, _ = listener.accept()
    except OSError:
        return None
    taken.settimeout(0)
    return taken
