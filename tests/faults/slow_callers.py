"""Callers that take their time: they read little or nothing, or send a byte a second."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from tests.acceptance.harness import CANDIDATE, Installation
from tests.bad_input.front import encoded

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
ENDLESS = encoded(model=CANDIDATE, stream=True, metadata={"simulate_output_tokens": "1000000"})


def connected(one: Installation, *, reads_bytes: int | None = None) -> socket.socket:
    """Return a connection; `reads_bytes` is the size of its receive buffer."""
    address = urlsplit(one.gateway)
    opened = socket.socket()
    if reads_bytes is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, reads_bytes)
    opened.settimeout(60)
    opened.connect((address.hostname, address.port))
    return opened


@contextlib.contextmanager
def dripping(callers: list[socket.socket], text: bytes) -> Iterator[None]:
    """Send a byte a second for each of them, spread over the second, until it is closed."""
    stop = threading.Event()

    groups = [callers[at : at + 50] for at in range(0, len(callers), 50)]

    def drip() -> None:
        for byte in text:
            for group in groups:
                for caller in group:
                    with contextlib.suppress(OSError):
                        caller.send(bytes([byte]))
                if stop.wait(1 / len(groups)):
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
