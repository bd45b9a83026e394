"""Server-sent events: bytes in, events out. Pure: whatever the chunking, the same bytes give the same events.

Source: WHATWG HTML, section 9.2.6. Events are handed on as the raw bytes they came in, blank line included.
"""

from __future__ import annotations

import re

_END = re.compile(rb"\r\n(?:\r\n|\n|\r(?=[^\n]))|\n(?:\r\n|\n|\r(?=[^\n]))|\r(?!\n)(?:\r\n|\n|\r(?=[^\n]))")
"""An empty line in any mix of the three line ends; a final CR waits for what follows it."""
_LINE = re.compile(rb"\r\n|\n|\r")

DONE = b"[DONE]"


class Splitter:
    """Cuts a byte stream into events and keeps what is not complete yet."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, received: bytes) -> list[bytes]:
        """Return the events that these bytes complete, each as raw bytes with the empty line that ends it."""
        kept = self._kept + received if self._kept else received
        if b"\r" in kept:
            return self._feed_any(kept)
        *events, self._kept = kept.split(b"\n\n")
        return [event + b"\n\n" for event in events]

    def _feed_any(self, kept: bytes) -> list[bytes]:
        events: list[bytes] = []
        start = 0
        for end in _END.finditer(kept):
            events.append(kept[start : end.end()])
            start = end.end()
        self._kept = kept[start:]
        return events

    @property
    def kept_bytes(self) -> int:
        """Return how many bytes wait for the end of their event."""
        return len(self._kept)

    def rest(self) -> bytes:
        """Return and forget what is left when the stream has ended: an event without its empty line."""
        rest, self._kept = self._kept, b""
        return rest


def payload(event: bytes) -> bytes | None:
    """Return an event's `data`, lines joined by LF; None when it has none (a comment, say)."""
    if event.startswith(b"data: ") and event.count(b"\n") == 2 and b"\r" not in event:
        return event[6:-2]
    values = [_value(line) for line in _LINE.split(event) if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(values) if values else None


def _value(line: bytes) -> bytes:
    return line[5:].removeprefix(b" ")
