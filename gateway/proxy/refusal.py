"""The answer to what is no request, as the bytes of a whole HTTP answer; the connection's last."""

from __future__ import annotations

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.errors import ApiError


def refusal(error: ApiError, request_id: str) -> bytes:
    """Return head and body of an answer with the error's envelope."""
    body = error.envelope()
    own = dict(error.headers) | {b"content-type": b"application/json", b"connection": b"close"}
    own |= {b"x-request-id": request_id.encode(), b"content-length": b"%d" % len(body)}
    lines = b"".join(b"%b: %b\r\n" % line for line in own.items())
    return STATUS_LINE[error.status] + lines + b"\r\n" + body


def parsers_words(error: httptools.HttpParserError) -> str:
    """Return the parser's own words: fixed phrases, nothing of what was sent."""
    if isinstance(error, httptools.HttpParserCallbackError):
        return "its target cannot be read"
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return "its method is none of HTTP's; use GET or POST, in capital letters"
    return str(error).rstrip(".")
