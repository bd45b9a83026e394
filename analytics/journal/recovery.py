"""What a dead writer left behind: keep every sound frame, set unsound bytes aside, and look at each segment once.

A live segment is never touched. Nothing is thrown away: what follows the last sound frame, unless it is the zeros of
preallocated space, is copied to `quarantine/` beside the segments before the segment is cut.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from analytics.journal.reader import SegmentReader
from analytics.journal.segment import QUARANTINE, UNBORN_SUFFIX, is_live

_CHUNK_BYTES = 1024 * 1024


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """A dead writer's segment: its sound bytes end at `valid_end`; `quarantined_bytes` unsound ones were set aside."""

    valid_end: int
    quarantined_bytes: int


def recover(path: Path) -> Recovered | None:
    """Scan a segment to its last sound frame and cut it there; None if its writer lives.

    Raises:
        UnreadableSegmentError: it has no sound head, or one of another schema.
    """
    with SegmentReader(path) as reader:
        if reader.is_live:
            return None
        for _ in reader.frames():
            pass
    return Recovered(valid_end=reader.offset, quarantined_bytes=cut(path, reader.offset))


def cut(path: Path, valid_end: int) -> int:
    """End a dead writer's segment at `valid_end` and return how many unsound bytes were quarantined."""
    with path.open("rb+") as segment:
        unsound_bytes = _unsound_bytes(segment.fileno(), valid_end)
        if unsound_bytes:
            segment.seek(valid_end)
            _set_aside(path, valid_end, segment.read(unsound_bytes))
        segment.truncate(valid_end)
        os.fsync(segment.fileno())
    return unsound_bytes


def quarantine(path: Path) -> None:
    """Set a whole file aside, one whose head nobody can read."""
    target = _quarantine_of(path) / path.name
    path.rename(target)
    sync_directory(target.parent)
    sync_directory(path.parent)


def quarantined(directory: Path) -> int:
    """Count what was set aside in a journal."""
    aside = directory / QUARANTINE
    return sum(1 for entry in aside.iterdir() if entry.suffix != ".tmp") if aside.is_dir() else 0


def sweep(directory: Path, *, older_than_s: float, now_s: float) -> None:
    """Remove segments that never got their name because their writer died while making them; they hold no frame."""
    for path in directory.glob(f"*{UNBORN_SUFFIX}"):
        try:
            if now_s - path.stat().st_mtime >= older_than_s and not is_live(path):
                path.unlink()
        except FileNotFoundError:
            continue


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unsound_bytes(fd: int, valid_end: int) -> int:
    """Return how far behind `valid_end` the last byte other than zero lies."""
    at, unsound_bytes = valid_end, 0
    while chunk := os.pread(fd, _CHUNK_BYTES, at):
        written = len(chunk.rstrip(b"\0"))
        if written:
            unsound_bytes = at + written - valid_end
        at += len(chunk)
    return unsound_bytes


def _set_aside(path: Path, offset: int, tail: bytes) -> None:
    target = _quarantine_of(path) / f"{path.name}.{offset}.tail"
    unfinished = target.with_name(target.name + ".tmp")
    with unfinished.open("wb") as file:
        file.write(tail)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(target)
    sync_directory(target.parent)


def _quarantine_of(path: Path) -> Path:
    aside = path.parent / QUARANTINE
    aside.mkdir(exist_ok=True)
    return aside
