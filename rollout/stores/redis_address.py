"""Where a Redis is, what its URL says, read strictly, and how to be let in.

No I/O: whoever only names a Redis does not load the library that speaks to it. A URL never carries a password.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

FORMS = (
    "redis://host:6379/0, rediss://host:6379/0, unix:///path/to.sock, "
    "redis+sentinel://host:26379,host:26379/name/0 or rediss+sentinel://..."
)
TIMEOUT_S = 0.2
_PORT = 6379
_SENTINEL_PORT = 26379
_LARGEST_PORT = 65535
_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A server (the only one of `hosts`), a socket's `path`, or sentinels that know where `sentinel_name` is now."""

    hosts: Sequence[tuple[str, int]] = ()
    path: str | None = None
    sentinel_name: str | None = None
    tls: bool = False
    db: int = 0

    def __str__(self) -> str:
        """Name the place, for messages."""
        if self.path is not None:
            return self.path
        named = ", ".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.sentinel_name} by the sentinels {named}" if self.sentinel_name else named


class RedisAccess(msgspec.Struct, frozen=True, kw_only=True):
    """A Redis and how to be let in. Its `repr` names the place alone."""

    address: RedisAddress
    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    ca_file: str | None = None
    timeout_s: float = TIMEOUT_S

    def __repr__(self) -> str:
        """Name the place, without the passwords."""
        return f"RedisAccess({str(self.address)!r})"


def parse_redis_url(url: str) -> RedisAddress:
    """Read a URL.

    Raises:
        ValueError: it is none of the forms; the message says what is wrong, without repeating the URL.
    """
    if not url.isascii() or not url.isprintable() or " " in url:
        message = f"is no URL; write {FORMS}"
        raise ValueError(message)
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        message = f"has no scheme that is known; write {FORMS}"
        raise ValueError(message)
    if "@" in parts.netloc:
        message = 'carries a user or a password; write them as username = "..." and password = { env = "NAME" }'
        raise ValueError(message)
    if parts.query or parts.fragment:
        message = f"has options behind ? or #, which are not read; write {FORMS}"
        raise ValueError(message)
    return _socket(parts) if parts.scheme == "unix" else _network(parts)


def _socket(parts: SplitResult) -> RedisAddress:
    if parts.netloc or parts.path in ("", "/"):
        message = "names no socket; write unix:///path/to.sock"
        raise ValueError(message)
    return RedisAddress(path=unquote(parts.path))


def _network(parts: SplitResult) -> RedisAddress:
    is_sentinel = parts.scheme.endswith("+sentinel")
    hosts = [_host(one, _SENTINEL_PORT if is_sentinel else _PORT) for one in parts.netloc.split(",")]
    words = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    name = words.pop(0) if is_sentinel and words else None
    if is_sentinel and not name:
        message = "names no master behind the sentinels; write redis+sentinel://host:26379,host:26379/name"
        raise ValueError(message)
    if not is_sentinel and len(hosts) > 1:
        message = "names several hosts, which only redis+sentinel:// may"
        raise ValueError(message)
    db = words.pop(0) if words else "0"
    if words or not db.isdigit():
        message = f"has a path that is no database number; write {FORMS}"
        raise ValueError(message)
    return RedisAddress(hosts=hosts, sentinel_name=name, tls=parts.scheme.startswith("rediss"), db=int(db))


def _host(text: str, default_port: int) -> tuple[str, int]:
    """Read `host`, `host:port` or `[v6]:port`."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or (port is not None and port > _LARGEST_PORT):
        message = f"names no host and port; write {FORMS}"
        raise ValueError(message)
    return host, port or default_port
