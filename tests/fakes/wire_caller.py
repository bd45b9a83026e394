"""A caller that sends a request's bytes and keeps the answer's: nothing is decoded, followed, added or forgiven."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.fakes.upstream import CHUNKED, chunk

PATIENCE_S = 30.0
Header = tuple[bytes, bytes]


@dataclass(frozen=True, kw_only=True)
class Received:
    """One answer: header names in lower case; `body` without its framing; `is_whole`: the framing has its end."""

    status: int
    headers: tuple[Header, ...]
    body: bytes
    is_whole: bool
    pieces: tuple[bytes, ...] = field(default=(), repr=False)
    """The body as its chunks had it; one piece, unless it was chunked."""

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


def ask(url: str, method: str, target: str, headers: tuple[Header, ...], body: bytes, **framed: int | None) -> Received:
    """Send one request over a connection of its own, as `Line.ask`."""
    with connected(url) as line:
        return line.ask(method, target, headers, body, **framed)


@contextlib.contextmanager
def connected(url: str) -> Iterator[Line]:
    """Keep a connection, for one request after the other."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=PATIENCE_S) as connection:
        yield Line(connection)


class _EndedError(Exception):
    """The other side closed."""


class Line:
    """One connection: what was received and not read yet is kept for the next answer, which it would break."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = bytearray()

    def ask(
        self,
        method: str,
        target: str,
        headers: tuple[Header, ...],
        body: bytes,
        *,
        chunk_bytes: int | None = None,
    ) -> Received:
        """Send one request, its body in chunks if these have a size, and read its answer to the end."""
        lines = [f"{method} {target} HTTP/1.1".encode(), *(name + b": " + value for name, value in headers)]
        if chunk_bytes is not None:
            lines.append(CHUNKED)
            pieces = [body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes)]
            body = b"".join(map(chunk, [*pieces, b""]))
        elif body or method != "GET":
            lines.append(b"content-length: %d" % len(body))
        self._connection.sendall(b"\r\n".join([*lines, b"", b""]) + body)
        return _read(self)

    def _more(self) -> None:
        try:
            received = self._connection.recv(1 << 18)
        except ConnectionResetError:
            received = b""
        if not received:
            raise _EndedError
        self._unread += received

    def until(self, mark: bytes) -> bytes:
        while (at := self._unread.find(mark)) < 0:
            self._more()
        return self.exactly(at + len(mark))[: -len(mark)]

    def exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            self._more()
        return self.at_most(count)

    def some(self) -> bytes:
        if not self._unread:
            self._more()
        return self.at_most(len(self._unread))

    def at_most(self, count: int) -> bytes:
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken


def _read(line: Line) -> Received:
    status, lines = _head(line)
    while status.startswith(b"1"):
        status, lines = _head(line)
    pairs = (each.partition(b":") for each in lines)
    headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    framing = dict(headers)
    pieces: list[bytes] = []
    if framing.get(b"transfer-encoding") == b"chunked":
        is_whole = _chunked(line, pieces)
    elif b"content-length" in framing:
        is_whole = _counted(line, pieces, int(framing[b"content-length"]))
    else:
        is_whole = status == b"204" or _closed(line, pieces)
    body = b"".join(pieces)
    return Received(status=int(status), headers=headers, body=body, is_whole=is_whole, pieces=tuple(pieces))


def _head(line: Line) -> tuple[bytes, list[bytes]]:
    first, *lines = line.until(b"\r\n\r\n").split(b"\r\n")
    version, status = first.split(b" ")[:2]
    assert version == b"HTTP/1.1"
    return status, lines


def _chunked(line: Line, pieces: list[bytes]) -> bool:
    try:
        while size := int(line.until(b"\r\n"), 16):
            pieces.append(line.exactly(size))
            assert line.exactly(2) == b"\r\n"
        assert line.until(b"\r\n") == b""
    except _EndedError:
        return False
    return True


def _counted(line: Line, pieces: list[bytes], length: int) -> bool:
    try:
        pieces.append(line.exactly(length))
    except _EndedError:
        pieces.append(line.at_most(length))
        return False
    return True


def _closed(line: Line, pieces: list[bytes]) -> bool:
    """Read until the other side closes, which is the end where nothing else tells it (RFC 9112, section 6.3)."""
    with contextlib.suppress(_EndedError):
        while True:
            pieces.append(line.some())
    return True
