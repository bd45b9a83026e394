"""Streams by their bytes: everything that the event stream's grammar allows, and some that it forgives.

Source of the grammar: WHATWG HTML, section 9.2.6.
"""

from __future__ import annotations

from typing import Any

from tests.transparency.shape import Shape, asking, event, streaming
from tests.transparency.shapes.chat_requests import DONE, FIRST, LAST, SAYS, USAGE_CHUNK, chunk, delta

_ASKING = asking(messages=SAYS)
_WORD = chunk(delta({"content": "Good \U0001f642 \u4e2d morning"}))
_MID = event({"error": {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}})
_EVENTS = (FIRST, _WORD, LAST, DONE)
_LINES = _WORD.strip().removeprefix(b"data: ").replace(b",", b"\x00", 1).split(b"\x00")
_MANY_LINES = b"data: " + b",\ndata:".join(_LINES) + b"\n\n"


def stream(name: str, *events: bytes, **about: Any) -> Shape:
    """Return a shape by the bytes of its stream."""
    return Shape(name=f"stream-{name}", body=_ASKING, streamed=streaming(*events, **about))


def _lines_end(line_end: bytes) -> list[bytes]:
    return [each.replace(b"\n", line_end) for each in _EVENTS]


STREAMS = (
    stream("plain", *_EVENTS, usage=USAGE_CHUNK),
    stream("crlf", *_lines_end(b"\r\n"), usage=USAGE_CHUNK.replace(b"\n", b"\r\n")),
    stream("cr", *_lines_end(b"\r"), usage=USAGE_CHUNK.replace(b"\n", b"\r")),
    stream("mixed-line-ends", FIRST[:-1] + b"\r\n", _WORD[:-2] + b"\r\n\n", LAST[:-2] + b"\r\n\r", DONE),
    stream("comments", b": hi\n\n", FIRST, b":\n\n", b":ping - 2026\n" + _WORD, b"::::\n\n", LAST, DONE),
    stream(
        "all-fields",
        b"id: 1\nevent: message\nretry: 3000\n" + FIRST,
        b"retry:10\n\n",
        b"id\n" + LAST,
        b"event:\n" + DONE,
    ),
    stream(
        "no-space-after-colon", FIRST.replace(b": ", b":", 1), _WORD.replace(b": ", b":  ", 1), LAST, b"data:[DONE]\n\n"
    ),
    stream("several-lines", FIRST, _MANY_LINES, LAST, DONE, usage=USAGE_CHUNK),
    stream("empty-events", FIRST, b"\n", b"\n\n", b"data\n\n", b"data:\n\n", _WORD, LAST, DONE),
    stream("byte-order-mark", b"\xef\xbb\xbf" + FIRST, _WORD, LAST, DONE, usage=USAGE_CHUNK),
    stream("no-done", FIRST, _WORD, LAST),
    stream("no-last-empty-line", FIRST, _WORD, LAST, b"data: [DONE]"),
    stream("one-last-line-end", FIRST, _WORD, LAST, b"data: [DONE]\n"),
    stream("finish-without-end", FIRST, _WORD, LAST[:-2]),
    stream("all-in-one", *_EVENTS, cuts=(), usage=USAGE_CHUNK),
    stream("error-in-the-middle", FIRST, _WORD, _MID),
    stream("error-and-done", FIRST, _WORD, _MID, DONE),
    stream("error-and-more", FIRST, _MID, _WORD, LAST, DONE),
    stream("unreadable", FIRST, b"data: {oops\n\n", b"data: \xff\xfe\n\n", b"data: [1]\n\n", LAST, DONE),
    stream("large-event", FIRST, chunk(delta({"content": "x" * 6000})), LAST, DONE),
    stream("huge-event", FIRST, chunk(delta({"content": "x" * 300_000})), LAST, DONE),
    stream("large-comment", b":" + b"-" * 5000 + b"\n\n", FIRST, LAST, DONE),
    stream("after-done", FIRST, _WORD, LAST, DONE, b": goodbye\n\n", b"data: {}\n\n"),
    stream("done-twice", FIRST, LAST, DONE, DONE),
    stream("rest-after-done", FIRST, LAST, DONE + b": bye"),
)
