"""Read a segment's frames from any frame's offset, while its writer appends or long after it died.

Only whole frames whose checksum holds are handed out, in order; the first one that does not hold ends the reading.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from analytics.journal.frame import (
    MAX_FRAME_BYTES,
    MAX_HEAD_BYTES,
    PREFIX_BYTES,
    UnreadableSegmentError,
    scan,
    unpack_head,
    why_stopped,
)
from analytics.journal.segment import is_live
from analytics.record import Frame

Ending = Literal["end", "torn", "live"]
"""`live`: a writer holds the segment, so more may come; `end`: this is all; `torn`: unsound bytes follow `offset`."""

_WINDOW_BYTES = 256 * 1024
_LARGEST_BYTES = PREFIX_BYTES + MAX_FRAME_BYTES


class SegmentReader:
    """An open segment. After `frames` is exhausted, `offset` is the end of the last sound frame.

    `ending` is the reason, and `undecodable` counts the frames whose checksum held but whose content is no frame.

    Raises:
        FileNotFoundError: the segment is gone.
        UnreadableSegmentError: it has no sound head, or one of another schema.
    """

    def __init__(self, path: Path) -> None:
        self.is_live = is_live(path)
        self._fd = os.open(path, os.O_RDONLY)
        try:
            self.head = unpack_head(os.pread(self._fd, MAX_HEAD_BYTES, 0))
        except UnreadableSegmentError as error:
            os.close(self._fd)
            message = f"segment {path} cannot be read: {error}"
            raise type(error)(message) from None
        self.offset = self.head.size_bytes
        self.undecodable = 0
        self.ending: Ending = "end"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._fd)

    def frames(self, start: int | None = None) -> Iterator[tuple[int, Frame]]:
        """Yield `(end, frame)`, `end` being the offset behind the frame; `start` defaults to the first frame's."""
        self.offset = self.head.size_bytes if start is None else start
        window_bytes = _WINDOW_BYTES
        while True:
            base = self.offset
            window = os.pread(self._fd, window_bytes, base)
            for end, frame in scan(window):
                self.offset = base + end
                if frame is None:
                    self.undecodable += 1
                else:
                    yield self.offset, frame
            if self.offset == base:
                if len(window) < window_bytes or window_bytes == _LARGEST_BYTES or not any(window[:PREFIX_BYTES]):
                    break
                window_bytes = _LARGEST_BYTES
        self.ending = self._why()

    def _why(self) -> Ending:
        if self.is_live:
            return "live"
        return "torn" if why_stopped(os.pread(self._fd, PREFIX_BYTES, self.offset)) == "torn" else "end"
