"""Append frames to segments, from one thread, without ever stalling or failing the request that they are about.

`append` never raises: what cannot be written is counted in `lost`. Durability is `sync`'s, in another thread.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from analytics.journal.frame import MAX_FRAME_BYTES, PREFIX_BYTES, prefix
from analytics.journal.segment import Segment, SegmentName, parse_name
from analytics.record import Frame

SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_S = 60.0
RETRY_S = 1.0
"""How long after a failed segment the next one is tried; what comes in between is lost, without a system call."""


class Writer:
    """The journal of one `(worker, boot)`.

    `directory` is made when missing. `worker` takes letters, digits, `.`, `_` and `-`; `boot` no `-`. `clock` gives
    monotonic seconds. A segment ends at `segment_bytes`, or with the first frame after `segment_s` seconds.

    Raises:
        ValueError: a name that does not fit a file's name.
        OSError: the directory cannot be made.
    """

    def __init__(
        self,
        directory: Path,
        worker: str,
        boot: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_s: float = SEGMENT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if parse_name(SegmentName(worker, boot, 1).file_name) != SegmentName(worker, boot, 1):
            message = f"worker {worker!r} and boot {boot!r} cannot name a segment: use letters, digits and '_'"
            raise ValueError(message)
        directory.mkdir(parents=True, exist_ok=True)
        self.lost = 0
        self.sync_errors = 0
        self._directory, self._worker, self._boot = directory, worker, boot
        self._segment_bytes, self._segment_s, self._clock = segment_bytes, segment_s, clock
        self._encoder = msgspec.msgpack.Encoder()
        self._buffer = bytearray()
        self._seq = self._number = 0
        self._segment: Segment | None = None
        self._spares: deque[Segment] = deque()
        self._retired: deque[Segment] = deque()
        self._is_sound, self._is_suspect = True, False
        self._retry_at_s = clock()
        self._closing = threading.Lock()
        self._rotate(self._retry_at_s)

    def next_seq(self) -> int:
        """Return 1, 2, 3, ...: a request's number in this boot. Take it right before the request's first frame."""
        self._seq += 1
        return self._seq

    def append(self, frame: Frame) -> None:
        """Hand one frame to the operating system, so that this process's death cannot lose it; or count it as lost."""
        if not self._pack(frame) or not self._place(len(self._buffer)):
            self.lost += 1

    def sync(self) -> None:
        """Make everything appended so far durable. For another thread: safe beside `append`, and may take its time.

        What fails is counted in `sync_errors`; a segment that could not be synced is not trusted with more frames.
        """
        with self._closing:
            while self._retired:
                self._attempt(self._retired.popleft().retire)
            # Read only now: a segment that is retired meanwhile stays open until the next sync.
            segment = self._segment
            if segment is not None:
                self._is_suspect = not self._attempt(partial(_datasync, segment.fd)) or self._is_suspect
                self._attempt(partial(self._prepare, segment))

    def close(self) -> None:
        """Sync, cut the segment to its written length and let go of it; later appends are lost."""
        with self._closing:
            segments = [*self._retired, *([self._segment] if self._segment else [])]
            self._retired.clear()
            self._segment, self._retry_at_s = None, float("inf")
            for segment in segments:
                self._attempt(segment.retire)
            while self._spares:
                self._spares.pop().discard()

    def _pack(self, frame: Frame) -> bool:
        buffer = self._buffer
        try:
            self._encoder.encode_into(frame, buffer, PREFIX_BYTES)
        except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, TypeError):
            return False
        body_bytes = len(buffer) - PREFIX_BYTES
        prefix.pack_into(buffer, 0, body_bytes, zlib.crc32(memoryview(buffer)[PREFIX_BYTES:]))
        return body_bytes <= MAX_FRAME_BYTES

    def _place(self, size: int) -> bool:
        now_s = self._clock()
        if self._wants_another(size, now_s) and now_s >= self._retry_at_s and not self._rotate(now_s):
            self._retry_at_s = now_s + RETRY_S
        if self._put(size):
            return True
        if now_s < self._retry_at_s:
            return False
        if self._rotate(now_s) and self._put(size):
            return True
        self._retry_at_s = now_s + RETRY_S
        return False

    def _wants_another(self, size: int, now_s: float) -> bool:
        segment = self._segment
        if segment is None or self._is_suspect:
            return True
        return segment.offset + size > self._segment_bytes or now_s - segment.started_s >= self._segment_s

    def _put(self, size: int) -> bool:
        """Write the frame; after a short or failed write cut it off again, and trust this segment no more."""
        segment = self._segment
        if segment is None or not self._is_sound:
            return False
        try:
            if os.pwrite(segment.fd, self._buffer, segment.offset) == size:
                segment.offset += size
                return True
            os.ftruncate(segment.fd, segment.offset)
        except OSError:
            pass
        self._is_sound = False
        return False

    def _rotate(self, now_s: float) -> bool:
        """Start the next segment, and only then let go of the last one: a living worker always holds a lock."""
        last = self._segment
        try:
            segment = self._spares.popleft() if self._spares else self._make()
            segment.publish(SegmentName(self._worker, self._boot, self._number + 1), now_s)
        except OSError:
            return False
        self._segment, self._number, self._is_sound = segment, self._number + 1, True
        self._is_suspect = False
        if last is not None:
            last.release()
            self._retired.append(last)
        return True

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except OSError:
            self.sync_errors += 1
            return False
        return True

    def _prepare(self, segment: Segment) -> None:
        """Make the next segment ahead of its use once the present one is half spent, off the request path."""
        if self._spares:
            return
        age_s = self._clock() - segment.started_s
        if segment.offset * 2 >= self._segment_bytes or age_s * 2 >= self._segment_s:
            self._spares.append(self._make())

    def _make(self) -> Segment:
        return Segment(self._directory, self._worker, self._boot, segment_bytes=self._segment_bytes)


_datasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
