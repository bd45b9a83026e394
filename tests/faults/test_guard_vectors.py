"""Heads and framing byte for byte, each with its answer: refused before it is a request, or read as exactly one."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.bad_input.front import Front

BODY = b'{"model":"nobody","messages":[]}'
"""Read as a request, it is answered with 401: no key; nothing is forwarded."""
SIZE = b"%d" % len(BODY)
POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
LENGTH = b"Content-Length: " + SIZE + b"\r\n"
END = b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n"

READ = (401, "invalid_api_key", False)
LAST = (401, "invalid_api_key", True)
HTTP = (400, "invalid_http", True)
NO_HOST = (400, "invalid_host", True)
TARGET = (400, "invalid_target", True)
LARGE = (431, "headers_too_large", True)
LONG = (414, "url_too_long", True)
VERSION = (505, "http_version_not_supported", True)
LATE = (408, "request_timeout", True)


def head(*lines: bytes, first: bytes = POST, host: bytes = HOST) -> bytes:
    """Return a request with the usual body and these header lines besides."""
    return first + host + LENGTH + b"".join(line + b"\r\n" for line in lines) + END + BODY


def framed(*lines: bytes, body: bytes = CHUNKS) -> bytes:
    """Return a request with these lines for its framing."""
    return POST + HOST + b"".join(line + b"\r\n" for line in lines) + END + body


VECTORS: dict[str, tuple[bytes, tuple[int, str, bool]]] = {
    "a plain request": (head(), READ),
    "an empty line before it": (b"\r\n\r\n" + head(), READ),
    "a name that was configured": (head(host=b"Host: llm.example.com\r\n"), READ),
    "a name in capitals": (head(host=b"HOST: LLM.Example.COM:8080\r\n"), READ),
    "an address of loopback": (head(host=b"Host: 127.0.0.1:8080\r\n"), READ),
    "the sixth version's loopback": (head(host=b"Host: [::1]:8080\r\n"), READ),
    "chunks": (framed(b"Transfer-Encoding: chunked"), READ),
    "chunks in capitals": (framed(b"TRANSFER-ENCODING: Chunked"), READ),
    "chunks and a trailer": (framed(b"Transfer-Encoding: chunked", body=CHUNKS[:-2] + b"X-Late: a\r\n\r\n"), READ),
    "a key in a trailer": (
        framed(b"Transfer-Encoding: chunked", body=CHUNKS[:-2] + b"Authorization: Bearer KEY\r\n\r\n"),
        READ,
    ),
    "an offer of HTTP/2": (
        head(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"),
        READ,
    ),
    "an offer of WebSocket": (head(b"Connection: Upgrade", b"UPGRADE: websocket"), READ),
    "an upgrade with chunks": (framed(b"Transfer-Encoding: chunked", b"Connection: upgrade", b"Upgrade: h2c"), READ),
    "a hundred headers": (head(*[b"X-%d: a" % number for number in range(98)]), READ),
    "a head of 31 KiB": (head(b"X-Long: " + b"a" * 31_000), READ),
    "a target of 8 KB": (head(first=b"POST /v1/chat/completions?x=" + b"a" * 8_000 + b" HTTP/1.1\r\n"), READ),
    "a URL of this server": (head(first=b"POST http://localhost:1/v1/chat/completions HTTP/1.1\r\n"), READ),
    "HTTP/1.0": (head(first=b"POST /v1/chat/completions HTTP/1.0\r\n"), LAST),
    "a wish to close": (head(b"Connection: close"), LAST),
    "a wish to close and more": (head(b"Connection: close") + head(), LAST),
    "two requests at once": (head() + head(), LAST),
    "a request and garbage": (head() + b"\x00\x01\x02", LAST),
    "no Host": (head(host=b""), NO_HOST),
    "no Host in HTTP/1.0": (head(first=b"POST /v1/chat/completions HTTP/1.0\r\n", host=b""), NO_HOST),
    "two Hosts": (head(b"Host: localhost"), NO_HOST),
    "two different Hosts": (head(b"host: llm.example.com"), NO_HOST),
    "an empty Host": (head(host=b"Host:\r\n"), NO_HOST),
    "another Host": (head(host=b"Host: attacker.example\r\n"), NO_HOST),
    "a Host below an allowed one": (head(host=b"Host: x.llm.example.com\r\n"), NO_HOST),
    "a Host that begins like an allowed one": (head(host=b"Host: localhost.attacker.example\r\n"), NO_HOST),
    "a Host with a user": (head(host=b"Host: localhost@attacker.example\r\n"), NO_HOST),
    "a Host with a path": (head(host=b"Host: localhost/x\r\n"), NO_HOST),
    "a list of Hosts": (head(host=b"Host: localhost, localhost\r\n"), NO_HOST),
    "a Host with a port that is none": (head(host=b"Host: localhost:http\r\n"), NO_HOST),
    "a Host outside ASCII": (head(host=b"Host: loc\xc3\xa4lhost\r\n"), NO_HOST),
    "another server's URL": (head(first=b"POST http://attacker.example/v1/models HTTP/1.1\r\n"), TARGET),
    "a URL with a user": (head(first=b"POST http://a:b@localhost/v1/models HTTP/1.1\r\n"), TARGET),
    "a URL of another scheme": (head(first=b"GET ftp://localhost/v1/models HTTP/1.1\r\n"), TARGET),
    "everything": (head(first=b"OPTIONS * HTTP/1.1\r\n"), TARGET),
    "a tunnel": (head(first=b"CONNECT attacker.example:443 HTTP/1.1\r\n"), TARGET),
    "a tunnel to this server": (head(first=b"CONNECT 127.0.0.1:443 HTTP/1.1\r\n"), TARGET),
    "an authority alone": (head(first=b"GET localhost:80 HTTP/1.1\r\n"), HTTP),
    "a path without a slash": (head(first=b"GET v1/models HTTP/1.1\r\n"), HTTP),
    "a hundred and one headers": (head(*[b"X-%d: a" % number for number in range(99)]), LARGE),
    "two thousand headers": (head(*[b"X: a"] * 2000), LARGE),
    "a head above 32 KiB": (head(b"X-Long: " + b"a" * 33_000), LARGE),
    "a header without an end": (POST + HOST + b"X-Long: " + b"a" * 200_000, LARGE),
    "a header of 2 MB": (head(b"X-Long: " + b"a" * 2_000_000), LARGE),
    "a long target": (head(first=b"POST /" + b"a" * 9_000 + b" HTTP/1.1\r\n"), LONG),
    "a target without an end": (b"POST /" + b"a" * 20_000, LONG),
    "a version to come": (head(first=b"POST /v1/chat/completions HTTP/3.0\r\n"), VERSION),
    "HTTP/2 without asking": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    "HTTP/1.2": (head(first=b"POST /v1/chat/completions HTTP/1.2\r\n"), VERSION),
    "HTTP/0.9": (b"GET /v1/models\r\n\r\n", HTTP),
    "a version in small letters": (head(first=b"POST /v1/chat/completions http/1.1\r\n"), HTTP),
    "two spaces before the version": (head(first=b"POST /v1/chat/completions  HTTP/1.1\r\n"), HTTP),
    "a tab for a space": (head(first=b"POST\t/v1/chat/completions HTTP/1.1\r\n"), HTTP),
    "a space at the end of the first line": (head(first=b"POST /v1/chat/completions HTTP/1.1 \r\n"), HTTP),
    "a method in small letters": (head(first=b"post /v1/chat/completions HTTP/1.1\r\n"), HTTP),
    "a method that does not exist": (head(first=b"STEAL /v1/chat/completions HTTP/1.1\r\n"), HTTP),
    "a space before the method": (b" " + head(), HTTP),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", HTTP),
    "nothing but NULs": (b"\x00" * 100, HTTP),
    "line feeds alone": (head().replace(b"\r\n", b"\n"), HTTP),
    "one line feed alone": (head(b"X-A: a\nX-B: b"), HTTP),
    "a line feed that ends the head": (POST + HOST + LENGTH + b"\n" + BODY, HTTP),
    "a carriage return alone": (head(b"X-A: a\rX-B: b"), HTTP),
    "a space before the colon": (head(b"X-A : a"), HTTP),
    "a tab before the colon": (head(b"X-A\t: a"), HTTP),
    "a length behind a space": (framed(b"Content-Length : " + SIZE, body=BODY), HTTP),
    "a header without a name": (head(b": a"), HTTP),
    "a header without a colon": (head(b"nonsense"), HTTP),
    "a folded header": (head(b"X-A: a", b" b"), HTTP),
    "a header folded by a tab": (head(b"X-A: a", b"\tb"), HTTP),
    "a folded coding": (framed(b"Transfer-Encoding:", b" chunked"), HTTP),
    "a space before the first header": (POST + b" " + HOST + LENGTH + END + BODY, HTTP),
    "a NUL in a value": (head(b"X-A: a\x00b"), HTTP),
    "a NUL in a name": (head(b"X\x00A: a"), HTTP),
    "a NUL in the target": (head(first=b"POST /v1/\x00 HTTP/1.1\r\n"), HTTP),
    "a length with a sign": (framed(b"Content-Length: +" + SIZE, body=BODY), HTTP),
    "a negative length": (framed(b"Content-Length: -1", body=BODY), HTTP),
    "a length with an underscore": (framed(b"Content-Length: 5_0", body=BODY), HTTP),
    "a hexadecimal length": (framed(b"Content-Length: 0x20", body=BODY), HTTP),
    "an empty length": (framed(b"Content-Length:", body=BODY), HTTP),
    "an endless length": (framed(b"Content-Length: " + b"9" * 40, body=BODY), HTTP),
    "a list of lengths": (framed(b"Content-Length: " + SIZE + b", " + SIZE, body=BODY), HTTP),
    "two lengths": (head(b"Content-Length: 3"), HTTP),
    "a length and chunks": (framed(b"Content-Length: " + SIZE, b"Transfer-Encoding: chunked"), HTTP),
    "chunks and a length": (framed(b"Transfer-Encoding: chunked", b"Content-Length: " + SIZE), HTTP),
    "chunks in HTTP/1.0": (b"POST /v1/chat/completions HTTP/1.0\r\n" + HOST + CHUNKED + END + CHUNKS, HTTP),
    "another coding": (framed(b"Transfer-Encoding: gzip"), HTTP),
    "another coding before chunks": (framed(b"Transfer-Encoding: gzip, chunked"), HTTP),
    "chunks twice": (framed(b"Transfer-Encoding: chunked, chunked"), HTTP),
    "chunks in two headers": (framed(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), HTTP),
    "chunks, then nothing": (framed(b"Transfer-Encoding: chunked, identity"), HTTP),
    "a coding that hides chunks": (framed(b"Transfer-Encoding: xchunked"), HTTP),
    "a coding behind a vertical tab": (framed(b"Transfer-Encoding: \x0bchunked"), HTTP),
    "a chunk without a size": (framed(b"Transfer-Encoding: chunked", body=b"zz\r\n"), HTTP),
    "a negative chunk": (framed(b"Transfer-Encoding: chunked", body=b"-1\r\n"), HTTP),
    "an endless chunk": (framed(b"Transfer-Encoding: chunked", body=b"f" * 20 + b"\r\n"), HTTP),
    "chunks by line feeds": (framed(b"Transfer-Encoding: chunked", body=CHUNKS.replace(b"\r\n", b"\n")), HTTP),
    "nothing": (b"", LATE),
    "a method and no more": (b"POST ", LATE),
    "a head without its end": (POST + HOST + LENGTH, LATE),
    "empty lines and no more": (b"\r\n\r\n", LATE),
}
"""What is sent; the status, the code, and whether the connection is closed after the one answer."""


def exchange(front: Front, sent: bytes) -> tuple[int, dict[str, str], bytes, bool]:
    """Send bytes; return the one answer's status, headers and body, and whether the connection was closed after it."""
    address = urlsplit(front.installation.gateway)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(sent)
        received = b""
        while b"\r\n\r\n" not in received:
            received += _more(connection)
        top, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(rest) < int(headers["content-length"]):
            rest += _more(connection)
        assert len(rest) == int(headers["content-length"])
        connection.settimeout(0.1)
        try:
            is_closed = connection.recv(1) == b""
        except TimeoutError:
            is_closed = False
        return int(first.split(" ")[1]), headers, rest, is_closed


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    assert received, "closed without a whole answer"
    return received


def _whole(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"}}"):
        received += _more(connection)
    return received


@pytest.mark.parametrize(("sent", "expected"), VECTORS.values(), ids=VECTORS)
def test_each_head_has_its_answer(front: Front, sent: bytes, expected: tuple[int, str, bool]):
    sent = sent.replace(b"KEY", front.key.encode())

    status, headers, body, is_closed = exchange(front, sent)

    assert (status, json.loads(body)["error"]["code"], is_closed) == expected
    assert list(json.loads(body)) == ["error"]
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    assert (headers.get("connection") == "close") == is_closed
    assert front.key.encode() not in body


def test_there_are_enough_of_them():
    assert len(VECTORS) >= 60


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz", b"/healthz?full"])
@pytest.mark.parametrize("host", [b"", b"Host: attacker.example\r\n", b"Host: 10.1.2.3:8080\r\n"])
def test_a_probe_needs_no_host(front: Front, path: bytes, host: bytes):
    status, _, _, is_closed = exchange(front, b"GET " + path + b" HTTP/1.1\r\n" + host + b"\r\n")

    assert (status, is_closed) == (200, False)


def test_a_request_that_offers_an_upgrade_keeps_its_body(front: Front):
    answer = front.raw(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMA")

    assert (answer.status, answer.rest) == (200, b"")


@pytest.mark.parametrize("target", [b"http://localhost", b"http://localhost?x=1", b"HTTP://LOCALHOST:80"])
def test_a_url_without_a_path_means_the_root(front: Front, target: bytes):
    status, headers, body, is_closed = exchange(front, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert (status, json.loads(body)["error"]["code"], is_closed) == (404, "unknown_url", False)
    assert headers["content-type"] == "application/json"


def test_every_cut_of_a_request_gives_the_same_request(front: Front):
    sent = head()
    address = urlsplit(front.installation.gateway)
    for cut in range(1, len(sent), 7):
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(sent[:cut])
            connection.sendall(sent[cut:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 401")


def test_a_connection_serves_one_request_after_the_other(front: Front):
    address = urlsplit(front.installation.gateway)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        for _ in range(20):
            connection.sendall(head())
            assert _whole(connection).startswith(b"HTTP/1.1 401")


def test_what_comes_together_with_the_end_of_a_body_that_was_answered_before_is_answered(front: Front):
    address = urlsplit(front.installation.gateway)
    first = framed(b"Content-Length: 4000", body=b"")
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        for begun in (b"", b"x" * 100, b"x" * 3999):
            connection.sendall(first + begun)
            assert _whole(connection).startswith(b"HTTP/1.1 401")
            connection.sendall(b"x" * (4000 - len(begun)) + head())
            assert _whole(connection).startswith(b"HTTP/1.1 401")


def test_behind_a_chunked_body_that_was_answered_before_the_connection_ends(front: Front):
    address = urlsplit(front.installation.gateway)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(framed(b"Transfer-Encoding: chunked", body=b""))
        assert _whole(connection).startswith(b"HTTP/1.1 401")
        connection.sendall(CHUNKS + head())
        assert connection.recv(65536) == b""
