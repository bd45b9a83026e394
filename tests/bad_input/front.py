"""The front of a running installation, as a hostile or unusual caller meets it: HTTP requests and raw bytes.

After each refusal four things are asked: was there exactly one clear answer, is it recorded exactly once, was nothing
forwarded, and does nothing repeat what the caller sent.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from analytics.journal.reader import SegmentReader
from analytics.record import Frame, Opened, Record
from tests.acceptance.harness import CONFIG, Installation

CANARY = "canary7f3a"
"""Stands in prompts, user keys, tags and foreign keys; it may come out nowhere."""

QUIET_CONFIG = CONFIG.replace("seal_every_s = 0.2", "seal_every_s = 3600")
"""The journal keeps what it gets, so that a test can read a record at once."""

PATH = "/v1/chat/completions"
BODY: Mapping[str, Any] = {"model": "sales-companion", "messages": [{"role": "user", "content": f"hello {CANARY}"}]}
_PATIENCE_S = 20.0


def encoded(**changes: Any) -> bytes:
    """Return the usual body with these changes."""
    return json.dumps({**BODY, **changes}, separators=(",", ":")).encode()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; `is_closed` tells whether the server then closed the connection, `rest` what came after it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_closed: bool = False
    rest: bytes = b""

    @property
    def error(self) -> dict[str, Any]:
        whole = json.loads(self.body)
        assert list(whole) == ["error"]
        assert set(whole["error"]) == {"message", "type", "param", "code"}
        return whole["error"]


class Front:
    """One installation's data plane, by a client that the caller closes."""

    def __init__(self, installation: Installation, client: httpx.Client) -> None:
        self.installation = installation
        self._client = client
        self.key = installation.keys["application"]
        address = urlsplit(installation.gateway)
        self._address = (address.hostname or "", address.port or 0)

    def post(self, body: bytes | None = None, *, path: str = PATH, key: str | None = "", **headers: str) -> Answer:
        """Send a body; underscores in header names become dashes, and `key=None` sends no key."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["authorization"] = f"Bearer {key or self.key}"
        url = f"{self.installation.gateway}{path}"
        answer = self._client.post(url, content=encoded() if body is None else body, headers=sent)
        return Answer(status=answer.status_code, headers=answer.headers, body=answer.content)

    def raw(
        self,
        *lines: bytes,
        first: bytes = b"POST /v1/chat/completions HTTP/1.1",
        body: bytes | None = None,
        length: bool = True,
        host: bool = True,
    ) -> Answer:
        """Send a request byte for byte: its first line, the usual headers and these, and a body."""
        body = encoded() if body is None else body
        head = [first, *([b"Host: localhost"] if host else []), b"Authorization: Bearer " + self.key.encode()]
        head += [b"Content-Length: %d" % len(body)] if length else []
        return self.bytes(b"\r\n".join([*head, *lines]) + b"\r\n\r\n" + body)

    def bytes(self, sent: bytes) -> Answer:
        """Send bytes, and read one answer and whatever follows it."""
        with socket.create_connection(self._address, timeout=_PATIENCE_S) as connection:
            connection.sendall(sent)
            return self._read(connection, is_head=sent.startswith(b"HEAD "))

    def _read(self, connection: socket.socket, *, is_head: bool) -> Answer:
        received = b""
        while b"\r\n\r\n" not in received:
            received += _more(connection)
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = 0 if is_head else int(headers.get("content-length", "0"))
        while len(rest) < length:
            rest += _more(connection)
        body, rest = rest[:length], rest[length:]
        connection.settimeout(0.05)
        try:
            later = connection.recv(65536)
        except TimeoutError:
            later = None
        except ConnectionResetError:
            later = b""
        return Answer(
            status=int(lines[0].split(" ")[1]),
            headers=headers,
            body=body,
            is_closed=later == b"",
            rest=rest + (later or b""),
        )

    def forwarded(self) -> int:
        """Return how many requests have reached the simulated models so far."""
        addresses = [server.base_url.removesuffix("/v1") for server in self.installation.simulated.values()]
        counted = [self._client.get(f"{address}/simulate/counts").json()["models"] for address in addresses]
        return sum(model["requests"] for models in counted for model in models.values())

    def frames(self) -> list[Frame]:
        """Return everything in the journal."""
        frames: list[Frame] = []
        for path in (self.installation.state_dir / "journal").glob("*.segment"):
            with SegmentReader(path) as segment:
                frames += [frame for _, frame in segment.frames()]
        return frames

    def record(self, answer: Answer) -> Record:
        """Return the one record of an answer."""
        wanted = answer.headers["x-request-id"]
        (record,) = [frame for frame in self.frames() if isinstance(frame, Record) and frame.request_id == wanted]
        return record

    def assert_refused(
        self, answer: Answer, status: int, code: str, param: str | None = None, *, is_recorded: bool = True
    ) -> None:
        """Check one refusal."""
        error = answer.error
        assert (answer.status, error["code"], error["param"]) == (status, code, param)
        assert error["type"] == "invalid_request_error"
        assert error["message"].endswith((".", "there is no other."))
        assert not answer.rest
        assert CANARY.encode() not in answer.body
        assert self.key.encode() not in answer.body
        wanted = answer.headers["x-request-id"]
        frames = [frame for frame in self.frames() if frame.request_id == wanted]
        assert len(frames) == is_recorded
        for frame in frames:
            assert isinstance(frame, Record)
            assert (frame.outcome, frame.status, frame.error_class) == ("rejected", status, code)
            assert CANARY not in f"{frame}"
        assert not [frame for frame in frames if isinstance(frame, Opened)]


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    assert received, "the server closed before its answer was whole"
    return received
