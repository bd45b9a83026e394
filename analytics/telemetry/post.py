"""Send one body to an OTLP backend: one HTTP request, under time limits, that never raises and follows nothing."""

from __future__ import annotations

import gzip
import http.client
import ssl
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

Fate = Literal["taken", "refused", "away"]
"""`refused`: it would be the same the next time; `away`: nobody is there, or has no time now."""

TIMEOUT_S = 10.0
"""For connecting, and for each wait for bytes."""
_AGAIN = frozenset({408, 429, 502, 503, 504})
"""The statuses after which OTLP/HTTP lets a client try again; any other failure is the same the next time."""
_MOST_ANSWER_BYTES = 65_536


class Backend:
    """The backend at a base `url` such as `http://127.0.0.1:4318`; `headers` go with every request."""

    def __init__(self, url: str, headers: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        self._url, self._timeout_s = urlsplit(url), timeout_s
        self._headers = {
            **headers,
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
            "user-agent": "turnout",
        }
        self._trust = ssl.create_default_context() if self._url.scheme == "https" else None

    def post(self, signal: Literal["traces", "metrics"], body: bytes) -> Fate:
        """Send a body on a connection of its own."""
        connection = self._connection()
        try:
            path = f"{self._url.path.rstrip('/')}/v1/{signal}"
            connection.request("POST", path, gzip.compress(body, 1), self._headers)
            answer = connection.getresponse()
            answer.read(_MOST_ANSWER_BYTES)
        except (OSError, http.client.HTTPException):
            return "away"
        finally:
            connection.close()
        if 200 <= answer.status < 300:
            return "taken"
        return "away" if answer.status in _AGAIN else "refused"

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._trust is not None:
            return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._trust)
        return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
