"""A segment as a file: its name, its making and its lock. A held flock means that its writer lives and may append.

A segment gets its lock, its space and its head under a temporary name, and its own name last. So whoever finds a
segment unlocked may conclude that nothing will be appended to it any more.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from analytics.journal.frame import pack_head

SUFFIX = ".segment"
UNBORN_SUFFIX = ".unborn"
QUARANTINE = "quarantine"

Packed = bytes | bytearray
Pwrite = Callable[[int, Packed, int], int]
"""`os.pwrite`, or what stands for it: descriptor, bytes, offset; returns how many bytes it wrote, or raises OSError."""

_CHUNK_BYTES = 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORM = re.compile(r"(?P<worker>[A-Za-z0-9._-]{1,200})-(?P<boot>[A-Za-z0-9_]{1,64})-(?P<number>\d{6,})\.segment")


class SegmentName(msgspec.Struct, frozen=True, order=True):
    """`{worker}-{boot}-{number}.segment`; a writer's numbers rise, and so does time within them."""

    worker: str
    boot: str
    number: int

    @property
    def file_name(self) -> str:
        """Return the file's name."""
        return f"{self.worker}-{self.boot}-{self.number:06d}{SUFFIX}"


def parse_name(file_name: str) -> SegmentName | None:
    """Return what a file's name says, or None if it is not a segment's."""
    found = _FORM.fullmatch(file_name)
    return SegmentName(found["worker"], found["boot"], int(found["number"])) if found else None


def segments(directory: Path) -> list[SegmentName]:
    """Return the segments of a journal in the order of worker, boot and number; none if there is no such directory."""
    try:
        names = [entry.name for entry in directory.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(name for name in map(parse_name, names) if name is not None)


def is_live(path: Path) -> bool:
    """Tell whether a writer holds the segment; a segment that is gone is not live."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class Segment:
    """A segment that is being written: `offset` is where its next frame goes. Making and retiring it may raise OSError.

    It holds `frames` frames, and wants more up to `limit_bytes` and until `ends_s` (monotonic). One that refused a
    frame takes no more, unless it `is_retriable`; one that could not be synced never again: what a later sync says of
    it would prove nothing.
    """

    def __init__(
        self, directory: Path, worker: str, boot: str, *, segment_bytes: int, pwrite: Pwrite = os.pwrite
    ) -> None:
        self._path = directory / f"{worker}-{boot}-{uuid.uuid4().hex}{UNBORN_SUFFIX}"
        self._pwrite, self._segment_bytes = pwrite, segment_bytes
        self.fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        head = pack_head(worker, boot)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _preallocate(self.fd, segment_bytes)
            self._write_whole(head, 0)
        except OSError:
            self.discard()
            raise
        self.offset = self._start = len(head)
        self.limit_bytes = segment_bytes
        self.ends_s = 0.0
        self.frames = 0
        self.is_retriable = False
        self._is_refusing = self._is_distrusted = False

    @property
    def place(self) -> dict[str, str]:
        """Return its path, as a field of a log line."""
        return {"path": str(self._path)}

    @property
    def is_sound(self) -> bool:
        """Tell whether it may take a frame, even one beyond its limit."""
        return not (self._is_refusing or self._is_distrusted)

    def publish(self, name: SegmentName, now_s: float, segment_s: float) -> bool:
        """Give the segment its own name: from here on readers see it. One that cannot be named is removed."""
        path = self._path.with_name(name.file_name)
        try:
            self._path.rename(path)
        except OSError:
            self.discard()
            return False
        self._path, self.ends_s = path, now_s + segment_s
        return True

    def put(self, packed: Packed) -> bool:
        """Write one frame, or leave no trace of it; never raises.

        A segment that refused its very first frame for want of room is as good as a new one: it `is_retriable`.
        """
        try:
            if self._pwrite(self.fd, packed, self.offset) == len(packed):
                self.offset += len(packed)
                self.frames += 1
                return True
            is_full = True
        except OSError as error:
            is_full = error.errno in _FULL
        self._is_refusing, self.limit_bytes = True, -1
        self.is_retriable = self._cut_off() and is_full and self.offset == self._start
        return False

    def is_removed(self) -> bool:
        """Tell whether its name no longer leads to it: the file was removed, moved or replaced by another."""
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return not os.path.samestat(found, os.fstat(self.fd))

    def catch_up(self, former: Segment) -> None:
        """Copy the frames of a segment of the same worker and boot that this one does not hold yet, or raise OSError.

        It may be called beside `former.put`: what is not yet there is for the next call.
        """
        end, frames = former.offset, former.frames
        while self.offset < end:
            chunk = os.pread(former.fd, min(_CHUNK_BYTES, end - self.offset), self.offset)
            self._write_whole(chunk, self.offset)
            self.offset += len(chunk)
        self.frames = frames

    def replace(self, former: Segment) -> bool:
        """Take the place and the name of a segment that was removed, with all its frames; or remove this one."""
        try:
            self.catch_up(former)
            self._path.rename(former._path)
        except OSError:
            self.discard()
            return False
        self._path, self.ends_s = former._path, former.ends_s
        return True

    def retry(self) -> None:
        """Let a retriable segment take frames again."""
        self._is_refusing, self.is_retriable, self.limit_bytes = False, False, self._segment_bytes

    def distrust(self) -> None:
        """Take no more frames: a sync failed. For the thread that syncs."""
        self._is_distrusted, self.limit_bytes = True, -1

    def release(self) -> None:
        """Let go of the lock: nothing will be appended any more."""
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def retire(self) -> None:
        """Cut off what was never written, make the rest durable, and close."""
        try:
            os.ftruncate(self.fd, self.offset)
            os.fsync(self.fd)
        finally:
            os.close(self.fd)

    def discard(self) -> None:
        """Remove a segment that was never published; never raises, for a reader sweeps what is left."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        os.close(self.fd)

    def _cut_off(self) -> bool:
        try:
            os.ftruncate(self.fd, self.offset)
        except OSError:
            return False
        return True

    def _write_whole(self, packed: bytes, offset: int) -> None:
        if not packed or self._pwrite(self.fd, packed, offset) != len(packed):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _preallocate(fd: int, segment_bytes: int) -> None:
    """Reserve the space, so that appends neither allocate nor meet a full disk; without it a segment just grows."""
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None:
        return
    try:
        allocate(fd, 0, segment_bytes)
    except OSError:
        os.ftruncate(fd, 0)
