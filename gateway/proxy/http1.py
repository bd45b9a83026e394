"""HTTP/1.1 towards a model server, as text: where a URL leads, and the head of a request. Pure.

Law: what is sent is what was asked for, or nothing: a path and a query keep their encoding, and no header or target can
become two.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[!-~]+")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]\\\x00-\x20]+)(?::(?P<port>[0-9]{1,5}))?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_WITHOUT_BODY = frozenset({"GET", "HEAD"})


class NotSendableError(ValueError):
    """A URL or a header that cannot be sent as it is."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A server: requests to the same origin may share a connection. `is_literal` tells that the host is an address."""

    host: str
    port: int
    is_tls: bool
    is_literal: bool


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a URL leads: the server, what `host` says, and the request's target."""

    origin: Origin
    authority: str
    path: str


@lru_cache(maxsize=1024)
def target(url: str) -> Target:
    """Take an absolute URL apart; nothing is decoded or normalised, a fragment is dropped.

    Raises:
        NotSendableError: it names no HTTP server, or its path cannot stand in a request line.
    """
    scheme, found, rest = url.partition("://")
    end = next((at for at, letter in enumerate(rest) if letter in "/?#"), len(rest))
    authority = _AUTHORITY.fullmatch(rest[:end])
    if not found or scheme not in _PORTS or authority is None:
        raise NotSendableError
    path = rest[end:].partition("#")[0]
    path = path if path.startswith("/") else f"/{path}"
    if not _TARGET.fullmatch(path):
        raise NotSendableError
    port = int(authority["port"] or _PORTS[scheme])
    host = authority["host"].removeprefix("[").removesuffix("]")
    origin = Origin(host=host, port=port, is_tls=scheme == "https", is_literal=_is_address(host))
    named = authority["host"] if port == _PORTS[scheme] else f"{authority['host']}:{port}"
    return Target(origin=origin, authority=named, path=path)


def _is_address(host: str) -> bool:
    """Tell an address from a name; a number that is no plain address would be read as one by the system."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if _NUMBER.fullmatch(host.removesuffix(".").rpartition(".")[2]):
            raise NotSendableError from None
        return False
    return True


def request_head(method: str, to: Target, headers: Mapping[str, str], body_bytes: int | None) -> bytes:
    """Return a request's head, with its host and the length of its body; None: it comes in chunks.

    Raises:
        NotSendableError: a header's name is none, or its value holds a line end.
    """
    lines = [f"{method} {to.path} HTTP/1.1\r\nhost: {to.authority}\r\n"]
    for name, value in headers.items():
        if not _is_token(name):
            raise NotSendableError
        lines.append(f"{name}: {value}\r\n")
    if body_bytes is None:
        lines.append("transfer-encoding: chunked\r\n")
    elif body_bytes or method not in _WITHOUT_BODY:
        lines.append(f"content-length: {body_bytes}\r\n")
    lines.append("\r\n")
    head = "".join(lines).encode()
    count = len(lines) + 1
    if not head.count(b"\n") == head.count(b"\r") == count or b"\0" in head:
        raise NotSendableError
    return head


def chunk(content: bytes) -> bytes:
    """Return one chunk of a chunked body; of b"" the last one."""
    return b"%x\r\n%b\r\n" % (len(content), content)


@lru_cache(maxsize=256)
def _is_token(name: str) -> bool:
    return _TOKEN.fullmatch(name) is not None
