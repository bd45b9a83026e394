"""A real server that speaks S3, as a process of its own, and a proxy before it that spoils calls as a test wishes.

The server is moto's, from an environment of its own (`make clients`); where that is missing, what needs it is not
exercised.
"""

from __future__ import annotations

import http.client
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

from analytics.lake.objects import ObjectStore
from analytics.lake.store import Access

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv/moto/bin/python"
SERVE = """
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""
KEY, SECRET = "AKIATURNOUTTESTS", "an-object-stores-secret-for-tests"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
Fate = Literal["pass", "500", "reset", "reset_after", "late", "hold"]
"""What becomes of a call. It is done `reset_after` or `late`, some time later, though the caller saw a reset."""
LATE_S = 1.0
HOLD_S = 20.0


@contextmanager
def serving_objects() -> Iterator[int]:
    """Run the server, and yield its port."""
    if not PYTHON.is_file():
        pytest.skip("not exercised: there is no server here that speaks S3; run `make clients`")
    words = [str(PYTHON), "-c", SERVE]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the server that speaks S3 did not start"
        yield int(line)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@dataclass
class Bucket:
    """A bucket of a test's own; `port` is where the server, or a proxy before it, listens."""

    name: str
    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def access(self) -> Access:
        return Access(endpoint_url=self.endpoint, region="us-east-1", key=KEY, secret=SECRET)

    def ask(self, method: str, path: str = "", body: bytes | None = None) -> bytes:
        """Call the server past every library of ours."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        scope = f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        try:
            connection.request(method, f"/{self.name}{path}", body, {"Authorization": scope})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, content
        return content

    def store(self, prefix: str = "", spool: Path | None = None, *, tries: int = 3) -> ObjectStore:
        return ObjectStore(f"s3://{self.name}{prefix}", self.access, spool, tries=tries)


Judge = Callable[[str, str], Fate]
"""Says what becomes of a call by its method and path."""


@dataclass
class SpoilingProxy:
    """Passes calls on to a server of HTTP, but for those that its `judge` spoils; `fates` counts them."""

    target_port: int
    judge: Judge = lambda _method, _path: "pass"
    fates: Counter[str] = field(default_factory=Counter[str])
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _late: list[threading.Thread] = field(default_factory=list[threading.Thread])

    @contextmanager
    def running(self) -> Iterator[SpoilingProxy]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its parent calls it so
                return

            def serve(self) -> None:
                proxy.serve(self)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = serve  # noqa: N815 - methods of HTTP

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            for late in self._late:
                late.join()

    def serve(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("content-length") or 0))
        with self._lock:
            fate = self.judge(asked.command, asked.path)
            self.fates[fate] += 1
        if fate == "pass":
            self._answer(asked, *self._pass_on(asked, body))
        elif fate == "500":
            self._answer(
                asked, 500, [("content-type", "application/xml")], b"<Error><Code>InternalError</Code></Error>"
            )
        else:
            self._spoil(asked, body, fate)
            asked.close_connection = True

    def _spoil(self, asked: BaseHTTPRequestHandler, body: bytes, fate: str) -> None:
        if fate == "reset_after":
            self._pass_on(asked, body)
        elif fate == "late":

            def deliver() -> None:
                time.sleep(LATE_S)
                self._pass_on(asked, body)

            late = threading.Thread(target=deliver)
            late.start()
            self._late.append(late)
        elif fate == "hold":
            time.sleep(HOLD_S)

    def _pass_on(self, asked: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=30)
        try:
            connection.request(asked.command, asked.path, body or None, dict(asked.headers.items()))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, asked: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        own = ("content-length", "transfer-encoding", "connection", "date", "server")
        length = next((value for name, value in headers if name.lower() == "content-length"), "0")
        asked.send_response(status)
        for name, value in headers:
            if name.lower() not in own:
                asked.send_header(name, value)
        asked.send_header("content-length", length if asked.command == "HEAD" else str(len(body)))
        asked.end_headers()
        if asked.command != "HEAD":
            asked.wfile.write(body)
