"""Append frames to segments, from one thread, without ever stalling or failing the request that they are about.

`append` never raises. While the disk refuses frames they wait in memory, in order, and are written once it takes them
again; what finds no room there either is counted in `lost`. Durability is `sync`'s, in another thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal
from zlib import crc32

import msgspec

from analytics.content import Content
from analytics.journal.frame import MAX_FRAME_BYTES, PREFIX_BYTES, prefix
from analytics.journal.removal import Removal
from analytics.journal.ring import RING_BYTES, Ring
from analytics.journal.segment import Packed, Pwrite, Segment, SegmentName, parse_name
from analytics.record import Frame

SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_S = 60.0
RETRY_S = 1.0
"""How long after the disk refused it is asked again; what comes in between waits, without a system call."""

Trouble = Literal["none", "waiting", "losing"]
"""`waiting`: the disk refuses, frames wait in memory; `losing`: there is no room for more of them."""

_APPEND_FRAMES = 32
_TEND_FRAMES = 1024
"""How many frames that wait are written at one call: about 50 us and 1.5 ms of it."""


_datasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Writer:
    """The journal of one `(worker, boot)`.

    `directory` is made when missing. `worker` takes letters, digits, `.`, `_` and `-`; `boot` no `-`. `clock` gives
    monotonic seconds. A segment ends at `segment_bytes`; after `segment_s` seconds too, once it holds a frame. At most
    `ring_bytes` of frames wait in memory. `pwrite` and `datasync` are the system's.

    Counts of frames: `lost` will never be in a segment; `kept` had to wait; of these, `written_late` are in one now.
    Among `lost` are all frames of a segment that was removed and could not be put back until the end, also those that
    the shipper had settled before: who reads a segment does not tell its writer.

    Raises:
        ValueError: a name that does not fit a file's name.
        OSError: the directory cannot be made.
    """

    def __init__(  # noqa: PLR0913 - the three names make a journal; all others are named and have a default
        self,
        directory: Path,
        worker: str,
        boot: str,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_s: float = SEGMENT_S,
        ring_bytes: int = RING_BYTES,
        clock: Callable[[], float] = time.monotonic,
        pwrite: Pwrite = os.pwrite,
        datasync: Callable[[int], None] = _datasync,
    ) -> None:
        if parse_name(SegmentName(worker, boot, 1).file_name) != SegmentName(worker, boot, 1):
            message = f"worker {worker!r} and boot {boot!r} cannot name a segment: use letters, digits and '_'"
            raise ValueError(message)
        directory.mkdir(parents=True, exist_ok=True)
        self.lost = self.written_late = self.sync_errors = 0
        self._directory, self._worker, self._boot = directory, worker, boot
        self._segment_bytes, self._segment_s, self._clock = segment_bytes, segment_s, clock
        self._pwrite, self._datasync = pwrite, datasync
        self._encode_into = msgspec.msgpack.Encoder().encode_into
        self._buffer = bytearray()
        self._ring = Ring(ring_bytes)
        self._is_losing = False
        self._seq = self._number = 0
        self._segment: Segment | None = None
        self._spares: deque[Segment] = deque()
        self._retired: deque[Segment] = deque()
        self._removal = Removal(directory, present=lambda: self._segment, make=self._make)
        self._retry_at_s = clock()
        self._closing = threading.Lock()
        self._rotate(self._retry_at_s)

    @property
    def kept(self) -> int:
        """Return how many frames had to wait in memory so far."""
        return self._ring.kept

    @property
    def waiting(self) -> int:
        """Return how many frames wait in memory now."""
        return len(self._ring)

    @property
    def trouble(self) -> Trouble:
        """Return how the journal fares; `losing` lasts until nothing waits any more."""
        if self._is_losing:
            return "losing"
        return "waiting" if self._ring else "none"

    def next_seq(self) -> int:
        """Return 1, 2, 3, ...: a request's number in this boot. Take it right before the request's first frame."""
        self._seq += 1
        return self._seq

    def append(self, frame: Frame) -> None:
        """Hand one frame to the operating system, so that this process's death cannot lose it.

        While the disk refuses, it waits in memory behind those that came before; without room there it is lost.
        """
        if not self._pack(frame):
            self.lost += 1
            return
        if self._ring:
            self._drain(_APPEND_FRAMES)
        if (self._ring or not self._write(self._buffer)) and not self._ring.keep(bytes(self._buffer)):
            self.lost += 1
            self._is_losing = True

    def append_content(self, content: Content) -> bool:
        """Hand one frame of content to the operating system, or drop it and return False.

        It never waits in memory: while the disk refuses, all room there is for records.
        """
        return not self._ring and self._pack(content) and self._write(self._buffer)

    def tend(self) -> None:
        """Write some of what waits, if the disk takes it: for the thread that appends, a few times a second.

        It also puts the copy of a segment that was removed in that one's place, and ends an old segment even if no
        frame comes any more: its content must not stay in the journal.
        """
        self._put_back()
        self._drain(_TEND_FRAMES)
        self._end_old()

    def sync(self) -> None:
        """Make everything appended so far durable. For another thread: safe beside `append`, and may take its time.

        What fails is counted in `sync_errors`; a segment that could not be synced is not trusted with more frames.
        """
        with self._closing:
            while self._retired:
                self._attempt(self._retired.popleft().retire)
            # Read only now: a segment that is retired meanwhile stays open until the next sync.
            segment = self._segment
            if segment is not None and not self._attempt(partial(self._datasync, segment.fd)):
                segment.distrust()
            self._attempt(self._removal.look)
            if self._needs_spare(segment) and not self._attempt(self._prepare):
                # The thread that appends need not find out the same.
                self._retry_at_s = max(self._retry_at_s, self._clock() + RETRY_S)

    def close(self) -> None:
        """Try once more what waits, sync, cut the segment to its written length and let go of it.

        What still waits then is lost, and so is every later frame.
        """
        with self._closing:
            self._attempt(self._removal.look)
        self._put_back()
        self._retry_at_s = min(self._retry_at_s, self._clock())
        self._drain(len(self._ring))
        if left := self._ring.close():
            self.lost += left
            self._is_losing = True
        with self._closing:
            if self._segment is not None and self._segment.is_removed():
                self.lost += self._segment.frames
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
            self._encode_into(frame, buffer, PREFIX_BYTES)
        except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, TypeError):
            return False
        body_bytes = len(buffer) - PREFIX_BYTES
        prefix.pack_into(buffer, 0, body_bytes, crc32(memoryview(buffer)[PREFIX_BYTES:]))
        return body_bytes <= MAX_FRAME_BYTES

    def _drain(self, frames: int) -> None:
        """Write the first frames that wait, one by one: a reader beside us never sees one that is taken back."""
        ring = self._ring
        for _ in range(min(frames, len(ring))):
            if not self._write(ring.first):
                return
            ring.drop_first()
            self.written_late += 1
        if not ring:
            self._is_losing = False

    def _write(self, packed: Packed) -> bool:
        segment, now_s = self._segment, self._clock()
        if (
            segment is not None
            and segment.offset + len(packed) <= segment.limit_bytes
            and now_s < segment.ends_s
            and segment.put(packed)
        ):
            return True
        return self._write_on(packed, now_s)

    def _write_on(self, packed: Packed, now_s: float) -> bool:
        """Write into the next segment; where there is none, go on in this one if it is sound."""
        if now_s < self._retry_at_s and not self._spares:
            return self._put(packed)
        has_next = self._rotate(now_s)
        is_put = self._put(packed)
        if not (has_next and is_put):
            self._retry_at_s = now_s + RETRY_S
        return is_put

    def _put(self, packed: Packed) -> bool:
        segment = self._segment
        return segment is not None and segment.is_sound and segment.put(packed)

    def _rotate(self, now_s: float) -> bool:
        """Start the next segment, and only then let go of the last one: a living worker always holds a lock."""
        last = self._segment
        if last is not None and last.is_removed():
            return False  # its copy comes first: a request's end must not be read before its beginning
        if last is not None and last.is_retriable and not self._spares:
            last.retry()
            return last.is_sound
        segment = self._spares.popleft() if self._spares else self._made()
        name = SegmentName(self._worker, self._boot, self._number + 1)
        if segment is None or not segment.publish(name, now_s, self._segment_s):
            return False
        self._segment, self._number = segment, self._number + 1
        if last is not None:
            last.release()
            self._retired.append(last)
        return True

    def _end_old(self) -> None:
        """Start the next segment, once `sync` has made it, if the present one is old and not empty."""
        segment = self._segment
        if self._spares and segment is not None and segment.frames and (now_s := self._clock()) >= segment.ends_s:
            self._rotate(now_s)

    def _put_back(self) -> None:
        """Go on in the copy of a segment that was removed."""
        last, copy = self._segment, self._removal.put_back()
        if last is not None and copy is not None:
            self._segment = copy
            self._retired.append(last)

    def _attempt(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except OSError:
            self.sync_errors += 1
            return False
        return True

    def _needs_spare(self, segment: Segment | None) -> bool:
        """Tell whether the present segment is half spent or takes no more, and no other stands ready."""
        if self._spares or (segment is not None and segment.is_retriable):
            return False
        if segment is None or not segment.is_sound:
            return True
        left_s = segment.ends_s - self._clock()
        return segment.offset * 2 >= self._segment_bytes or left_s * 2 <= self._segment_s

    def _prepare(self) -> None:
        """Make the next segment ahead of its use, off the request path."""
        self._spares.append(self._make())

    def _made(self) -> Segment | None:
        try:
            return self._make()
        except OSError:
            return None

    def _make(self) -> Segment:
        return Segment(
            self._directory, self._worker, self._boot, segment_bytes=self._segment_bytes, pwrite=self._pwrite
        )
