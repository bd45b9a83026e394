"""Multipart bodies as clients write them, and as they never should."""

from __future__ import annotations

BOUNDARY = b"X-7f3a"
KIND = b"multipart/form-data; boundary=" + BOUNDARY
END = b"--" + BOUNDARY + b"--\r\n"


def field(name: str, value: bytes | str, *headers: bytes) -> bytes:
    """Return one field as a part."""
    value = value.encode() if isinstance(value, str) else value
    return part(b'content-disposition: form-data; name="%b"' % name.encode(), *headers, content=value)


def file(content: bytes, name: str = "file", filename: str = "a.wav") -> bytes:
    """Return one file as a part."""
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return part(disposition.encode(), b"Content-Type: audio/wav", content=content)


def part(*headers: bytes, content: bytes = b"") -> bytes:
    return b"\r\n".join((b"--" + BOUNDARY, *headers, b"", content, b""))


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + END
