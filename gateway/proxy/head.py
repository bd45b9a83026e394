"""Judge the raw bytes of a request's head, before the parser sees them. Pure: a few comparisons, nothing is split.

Line ends, counts, sizes and the version are judged here, because parsers differ in what they forgive; the grammar of
methods, targets and header lines is the parser's.
"""

from __future__ import annotations

import re

from gateway.errors import ApiError, BadRequestError, HeadersTooLargeError, UrlTooLongError, VersionError
from gateway.settings.schema import Server

END = b"\r\n\r\n"
_VERSIONS = (b" HTTP/1.1", b" HTTP/1.0")
_VERSION = re.compile(rb"[A-Z]+ [!-~]+ HTTP/[0-9](\.[0-9])?")
_ABSOLUTE = re.compile(rb"https?://(?P<host>[^/?#@]+)(?:[/?].*)?", re.IGNORECASE)


def malformed(reason: str, code: str = "invalid_http") -> BadRequestError:
    """Return the error of bytes that are no request."""
    return BadRequestError(f"This is not a request that can be read: {reason}.", code=code)


def head_fault(received: bytes | bytearray, end: int, limits: Server) -> ApiError | None:
    """Judge a whole head: the first `end` bytes of what was received, its empty line among them."""
    lines = received.count(b"\n", 0, end)
    if received.count(b"\r\n", 0, end) != lines or received.count(b"\r", 0, end) != lines:
        return _bare()
    first = received.find(b"\r\n")
    if first > limits.max_request_line_bytes:
        return _long_line(limits)
    if end > limits.max_head_bytes or lines - 2 > limits.max_headers:
        return _large(limits)
    if received[first - 9 : first] not in _VERSIONS or received.count(b" ", 0, first) != 2:
        return _version_fault(bytes(received[:first]))
    return None


def unfinished_fault(held: bytes | bytearray, limits: Server) -> ApiError | None:
    """Judge the beginning of a head, the rest of which has not come yet."""
    first = held.find(b"\r\n")
    if (len(held) if first < 0 else first) > limits.max_request_line_bytes:
        return _long_line(limits)
    if len(held) > limits.max_head_bytes:
        return _large(limits)
    return _bare() if held.count(b"\n") != held.count(b"\r\n") else None


def leading(received: bytes) -> bytes | None:
    """Take empty lines off the beginning (RFC 9112, section 2.2); None: what follows cannot begin a request."""
    rest = received.lstrip(b"\r\n")
    skipped = len(received) - len(rest)
    if received[:skipped] != b"\r\n" * (skipped // 2):
        return None
    return rest if not rest or b"A" <= rest[:1] <= b"Z" else None


def authority(target: bytes) -> bytes | None:
    """Return the host of a target that names one, such as `http://host:80/path`; None: it is none that is answered."""
    found = _ABSOLUTE.fullmatch(target)
    return found["host"] if found else None


def without_upgrade(received: bytes) -> bytes:
    """Return the request without its `Upgrade` header, which asks for a protocol that is not spoken here."""
    head, _, rest = received.partition(END)
    lines = [line for line in head.split(b"\r\n") if line[:8].lower() != b"upgrade:"]
    return b"\r\n".join(lines) + END + rest


def _version_fault(line: bytes) -> ApiError:
    if _VERSION.fullmatch(line) and line[-9:] not in _VERSIONS:
        return VersionError("This server speaks HTTP/1.1; send the request in that version.")
    return malformed("its first line is not METHOD TARGET HTTP/1.1")


def _bare() -> ApiError:
    return malformed("its head has a carriage return or a line feed without the other")


def _long_line(limits: Server) -> ApiError:
    return UrlTooLongError(f"The request's first line is longer than {limits.max_request_line_bytes:,} bytes.")


def _large(limits: Server) -> ApiError:
    message = f"The request has more than {limits.max_headers:,} headers or {limits.max_head_bytes:,} bytes of them."
    return HeadersTooLargeError(message)
