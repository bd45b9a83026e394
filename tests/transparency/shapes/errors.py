"""Errors of every class, as upstreams tell them: each is answered to a whole request and to a streamed one."""

from __future__ import annotations

from typing import Any

from tests.fakes.reciting import Answer
from tests.transparency.shape import Shape, answering, asking
from tests.transparency.shapes.chat_requests import SAYS, STREAMED, chunk

_ASKING = asking(messages=SAYS)
_HTML = b"content-type: text/html; charset=UTF-8"
_JSON = b"content-type: application/json"
_EVENTS = b"content-type: text/event-stream"
_PAGE = b"<!DOCTYPE html>\r\n<title>502</title><h1>Bad gateway</h1>\r\n\x00\xff"


def error(name: str, answer: Answer) -> Shape:
    """Return a shape whose answer is this error, whether a stream was asked for or not."""
    return Shape(name=f"error-{name}", body=_ASKING, whole=answer, streamed=answer)


def told(status: bytes, kind: str, code: str | None, *headers: bytes, **more: Any) -> Answer:
    """Return an error in OpenAI's envelope."""
    content = {"error": {"message": f"No: {kind}.", "type": kind, "param": None, "code": code, **more}}
    return answering(content, status=status, headers=(_JSON, *headers))


ERRORS = (
    error("400", told(b"400 Bad Request", "invalid_request_error", "context_length_exceeded", param="messages")),
    error(
        "400-filtered", told(b"400 Bad Request", "x", "content_filter", innererror={"code": "Policy", "content": {}})
    ),
    error("401", told(b"401 Unauthorized", "invalid_request_error", "invalid_api_key", b"www-authenticate: Bearer")),
    error("402", told(b"402 Payment Required", "billing", None)),
    error("403", told(b"403 Forbidden", "invalid_request_error", "unsupported_country_region_territory")),
    error("404", told(b"404 Not Found", "invalid_request_error", "model_not_found")),
    error("408", told(b"408 Request Timeout", "timeout", None, b"x-should-retry: true")),
    error("409", told(b"409 Conflict", "conflict", None, b"x-should-retry: false")),
    error("413", Answer(status=b"413 Payload Too Large", body=b"", headers=())),
    error("422", answering({"detail": [{"loc": ["body", "n"], "msg": "odd"}]}, status=b"422 Unprocessable Content")),
    error("429", told(b"429 Too Many Requests", "requests", "rate_limit_exceeded", b"retry-after: 7")),
    error("429-ms", told(b"429 Too Many Requests", "tokens", "rate_limit_exceeded", b"retry-after-ms: 1234")),
    error("429-quota", told(b"429 Too Many Requests", "insufficient_quota", "insufficient_quota")),
    error("429-date", told(b"429 ", "requests", None, b"retry-after: Wed, 21 Oct 2026 07:28:00 GMT")),
    error("418-odd-status", told(b"499 Made Up", "odd", None)),
    error("500", told(b"500 Internal Server Error", "server_error", None)),
    error("500-code-is-a-number", answering({"error": {"code": 500, "message": "x"}}, status=b"500 Oops")),
    error(
        "500-plain", Answer(status=b"500 Internal Server Error", body=b"oops", headers=(b"content-type: text/plain",))
    ),
    error("502-html", Answer(status=b"502 Bad Gateway", body=_PAGE, headers=(_HTML,), framing="chunked", cuts=(9, 20))),
    error("503", told(b"503 Service Unavailable", "overloaded", "server_overloaded", b"retry-after: 1")),
    error("503-empty", Answer(status=b"503 Service Unavailable", body=b"", headers=(b"retry-after: 30",))),
    error("504-type-and-no-body", Answer(status=b"504 Gateway Timeout", body=b"", headers=(_HTML,))),
    error("529-json-says-text", Answer(status=b"529 Overloaded", body=b'{"error":"x"}', headers=(_HTML,))),
    error("500-html-says-json", Answer(status=b"500 Oops", body=_PAGE, headers=(_JSON,))),
    error("429-as-events", Answer(status=b"429 Slow", body=STREAMED.body, headers=(_EVENTS,), framing="chunked")),
    error("500-as-events", Answer(status=b"500 Oops", body=chunk(error={"message": "x"}), headers=(_EVENTS,))),
    error(
        "303-without-address",
        Answer(status=b"303 See Other", body=b"elsewhere", headers=(b"content-type: text/plain",)),
    ),
    error("202-and-nothing", Answer(status=b"202 Accepted", body=b"", headers=())),
    error("204", Answer(status=b"204 No Content", body=b"", headers=(), framing="none")),
)
