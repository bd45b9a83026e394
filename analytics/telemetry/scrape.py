"""Serve `/metrics` from a thread beside the shipper's work.

The law: whoever scrapes, slowly or wrongly or not at all, costs a bounded part of this process and never its work.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from analytics.telemetry.exposition import CONTENT_TYPE

PATH = "/metrics"
PLAIN = "text/plain; charset=utf-8"
_AT_ONCE = 8
_PATIENCE_S = 5.0
"""For a request, and for each piece of the answer to be taken."""


class ScrapeServer:
    """Answers on a listening socket from `start` on, until `stop`; `page` makes the text, in any thread."""

    def __init__(self, listener: socket.socket, page: Callable[[], str]) -> None:
        self._server = _Server(listener, page)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; the socket is closed."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, page: Callable[[], str]) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.page = page
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # there is no room for one more thread
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what fails outside of `page` is a scrape that was broken off."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_S
    server_version = "turnout"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if self.path.partition("?")[0] != PATH:
            return self._send(404, PLAIN, f"Nothing is here; ask for {PATH}.\n")
        try:
            page = cast("_Server", self.server).page()
        except Exception as error:  # noqa: BLE001 - a request's outermost frame: whoever scrapes is told
            self._send(500, PLAIN, f"The measures cannot be told: {type(error).__name__}; see the state directory.\n")
        else:
            self._send(200, CONTENT_TYPE, page)

        return None

    def _send(self, status: int, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing."""
