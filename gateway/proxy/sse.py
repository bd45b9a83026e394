"""Server-sent events: bytes in, events out. Pure: whatever the chunking, the same bytes give the same events.

Source: WHATWG HTML, section 9.2.6. Events are handed on as the raw bytes they came in, blank line included.
"""

from __future__ import annotations

import re
from itertools import pairwise

_END = re.compile(rb"\r\n(?:\r\n|\n|\r(?=[^\n]))|\n(?:\r\n|\n|\r(?=[^\n]))|\r(?!\n)(?:\r\n|\n|\r(?=[^\n]))")
"""An empty line in any mix of the three line ends; a final CR waits for what follows it."""
_PLAIN_END = re.compile(rb"\n\n")
_BEGUN_END_BYTES = 3
"""The most that can have come of an end which is not whole: CR LF CR, or less."""
_LINE = re.compile(rb"\r\n|\n|\r")

DONE = b"[DONE]"


class Splitter:
    """Cuts a byte stream into events and keeps what is not complete yet. Every byte is searched once, or once again."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, received: bytes) -> list[bytes]:
        """Return the events that these bytes complete, each as raw bytes with the empty line that ends it."""
        if not self._kept and b"\r" not in received:
            *whole, rest = received.split(b"\n\n")
            self._kept += rest
            return [event + b"\n\n" for event in whole]
        searched = max(len(self._kept) - _BEGUN_END_BYTES, 0)
        self._kept += received
        end = _END if self._kept.find(b"\r", searched) >= 0 else _PLAIN_END
        cuts = [0, *(found.end() for found in end.finditer(self._kept, searched))]
        events = [bytes(self._kept[start:stop]) for start, stop in pairwise(cuts)]
        del self._kept[: cuts[-1]]
        return events

    @property
    def kept_bytes(self) -> int:
        """Return how many bytes wait for the end of their event."""
        return len(self._kept)

    def rest(self) -> bytes:
        """Return and forget what is left when the stream has ended: an event without its empty line."""
        rest = bytes(self._kept)
        self._kept.clear()
        return rest


def payload(event: bytes) -> bytes | None:
    """Return an event's `data`, lines joined by LF; None when it has none (a comment, say)."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n") and event.count(b"\n") == 2 and b"\r" not in event:
        return event[6:-2]
    values = [_value(line) for line in _LINE.split(event) if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(values) if values else None


def _value(line: bytes) -> bytes:
    return line[5:].removeprefix(b" ")
