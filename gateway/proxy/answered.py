"""What the head of an upstream's answer says: the form of its body, and which headers reach the caller. No I/O.

Law: an allow-list, so that what an upstream says of itself stays here.
"""

from __future__ import annotations

from gateway.proxy.upstream import Answer, Header

_BACK = frozenset(
    {
        b"content-type",
        b"content-disposition",
        b"cache-control",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
        b"openai-processing-ms",
        b"openai-version",
    }
)
_BACK_PREFIX = b"x-ratelimit-"
_EVENT_STREAM = b"text/event-stream"
_JSON = b"application/json"


def is_stream(answer: Answer) -> bool:
    """Tell whether the upstream answers with server-sent events; an error is read whole, whatever its type says."""
    return answer.status < 300 and any(
        name == b"content-type" and value.lower().startswith(_EVENT_STREAM) for name, value in answer.headers
    )


def is_media(answer: Answer) -> bool:
    """Tell whether the upstream answers with something other than JSON."""
    return answer.status < 300 and not any(
        name == b"content-type" and value.lower().startswith(_JSON) for name, value in answer.headers
    )


def headers_back(answer: Answer) -> list[Header]:
    """Return the upstream's headers that reach the caller; its own request id under another name."""
    kept = [(name, value) for name, value in answer.headers if name in _BACK or name.startswith(_BACK_PREFIX)]
    kept.extend((b"x-upstream-request-id", value) for name, value in answer.headers if name == b"x-request-id")
    return kept


def length_back(answer: Answer) -> list[Header]:
    """Return the header with the body's length, if the upstream told it."""
    return [header for header in answer.headers if header[0] == b"content-length"]
