"""A receiver of webhooks on a loopback port: it keeps what it is sent, and answers by a script, then by 204."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

PATIENCE_S = 30.0


@dataclass(kw_only=True)
class Received:
    """One request: its path, its headers by lower-case name, its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def sent(self) -> Any:
        return msgspec.json.decode(self.body)


Answer = int | str
"""A status; a URL to redirect to; "hang": nothing is answered; "drop": the connection is closed."""


@dataclass(kw_only=True)
class Receiver:
    """What came, in its order."""

    port: int
    script: list[Answer] = field(default_factory=list)
    retry_after: str | None = None
    received: list[Received] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/t0p-secret-path"

    def await_count(self, count: int) -> list[Received]:
        """Return what came once there are so many."""
        until(lambda: len(self.received) >= count)
        return self.received


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


@contextmanager
def receiving(script: Sequence[Answer] = (), *, port: int = 0) -> Iterator[Receiver]:
    """Receive until the block ends."""
    receiver = Receiver(port=port, script=list(script))
    server = _Server(("127.0.0.1", port), _handler(receiver))
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers may leave."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.script.pop(0) if receiver.script else 204
            receiver.received.append(Received(path=self.path, headers=headers, body=body))
            if answer == "hang":
                receiver.over.wait(PATIENCE_S)
            elif answer == "drop":
                self.close_connection = True
            else:
                self.send_response(answer if isinstance(answer, int) else 307)
                if isinstance(answer, str):
                    self.send_header("location", answer)
                if receiver.retry_after is not None:
                    self.send_header("retry-after", receiver.retry_after)
                self.send_header("content-length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            """Say nothing."""

    return Handler
