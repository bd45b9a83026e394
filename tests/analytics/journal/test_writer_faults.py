"""A disk that fails in every order: what is appended is in a segment once, in order, or counted as lost."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.content import Content
from analytics.journal.frame import MAX_FRAME_BYTES, scan, unpack_head
from analytics.journal.segment import Packed, segments
from analytics.journal.writer import RETRY_S, Writer
from analytics.record import Opened

Fault = Literal["none", "full", "eio", "short", "silent", "late eio"]
"""`short`: a part is written; `silent`: nothing is, without an error; `late eio`: all is written, and an error told."""

BROKEN: tuple[Fault, ...] = ("full", "eio", "short", "silent", "late eio")


class Disk:
    """A real disk whose next writes and syncs fail as told; afterwards it is well."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.sync_faults: list[bool] = []
        self.refused: set[int] = set()
        self.written_after_refusal = 0

    def pwrite(self, fd: int, packed: Packed, offset: int) -> int:
        fault = self.faults.pop(0) if self.faults else "none"
        if fault == "short":
            return os.pwrite(fd, bytes(packed)[: len(packed) // 2], offset)
        if fault == "silent":
            return 0
        if fault == "full":
            raise OSError(errno.ENOSPC, "full")
        if fault == "eio":
            raise OSError(errno.EIO, "broken")
        written = os.pwrite(fd, packed, offset)
        if fault == "late eio":
            raise OSError(errno.EIO, "broken")
        self.written_after_refusal += os.fstat(fd).st_ino in self.refused
        return written

    def datasync(self, fd: int) -> None:
        if self.sync_faults and self.sync_faults.pop(0):
            self.refused.add(os.fstat(fd).st_ino)
            raise OSError(errno.EIO, "broken")
        os.fsync(fd)


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def frame(seq: int) -> Opened:
    return Opened(request_id=f"0199b0c0-0000-7000-8000-{seq:012x}", seq=seq, started_at=1)


def seqs_in(directory: Path) -> list[int]:
    """Read all segments to their last byte: a torn frame anywhere is a failure."""
    found: list[int] = []
    for name in segments(directory):
        content = (directory / name.file_name).read_bytes()
        body = content[unpack_head(content).size_bytes :]
        read = list(scan(body))
        assert (read[-1][0] if read else 0) == len(body), name
        found += [one.seq for _, one in read if one is not None]
    return found


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(tmp_path: Path, disk: Disk, clock: Clock) -> Callable[..., Writer]:
    def make(**limits: int) -> Writer:
        return Writer(tmp_path, "w0", "b1", clock=clock, pwrite=disk.pwrite, datasync=disk.datasync, **limits)

    return make


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 20)),
    st.tuples(st.just("break"), st.lists(st.sampled_from(BROKEN), min_size=1, max_size=12)),
    st.tuples(st.just("wait"), st.sampled_from([0.3, RETRY_S, 70.0])),
    st.tuples(st.just("sync"), st.booleans()),
    st.tuples(st.just("tend"), st.none()),
)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=30),
    last_faults=st.lists(st.sampled_from(BROKEN), max_size=4),
    segment_bytes=st.sampled_from([300, 2000, 1 << 20]),
    ring_bytes=st.sampled_from([0, 200, 1000, 1 << 20]),
)
def test_whatever_fails_every_frame_is_written_once_and_in_order_or_counted_as_lost(
    steps: list[tuple[str, object]], last_faults: list[Fault], segment_bytes: int, ring_bytes: int
) -> None:
    directory, disk, clock, appended = Path(tempfile.mkdtemp()), Disk(), Clock(), 0
    try:
        writer = Writer(
            directory,
            "w0",
            "b1",
            segment_bytes=segment_bytes,
            ring_bytes=ring_bytes,
            clock=clock,
            pwrite=disk.pwrite,
            datasync=disk.datasync,
        )
        for what, how in steps:
            if isinstance(how, list):
                disk.faults = how.copy()
            elif isinstance(how, float):
                clock.now_s += how
            elif what == "sync":
                disk.sync_faults = [bool(how)]
                writer.sync()
            elif what == "tend":
                writer.tend()
            elif isinstance(how, int):
                for _ in range(how):
                    writer.append(frame(appended := appended + 1))
        disk.faults = last_faults
        writer.close()

        found = seqs_in(directory)
        assert len(found) + writer.lost == appended
        assert all(earlier < later for earlier, later in pairwise(found))
        assert writer.waiting == 0
        assert 0 <= writer.kept - writer.written_late <= writer.lost
        assert disk.written_after_refusal == 0
    finally:
        shutil.rmtree(directory)


def test_frames_wait_while_the_disk_is_full_and_nothing_is_asked_of_it_more_than_once_a_second(
    tmp_path: Path, made: Callable[..., Writer], disk: Disk, clock: Clock
) -> None:
    writer = made()
    writer.append(frame(1))
    disk.faults = ["full"] * 1000
    for seq in range(2, 102):
        writer.append(frame(seq))
    asked = 1000 - len(disk.faults)

    assert asked <= 3
    assert (writer.waiting, writer.trouble, writer.lost) == (100, "waiting", 0)

    disk.faults = []
    clock.now_s += RETRY_S
    writer.tend()
    assert (writer.waiting, writer.trouble, writer.kept, writer.written_late) == (0, "none", 100, 100)
    writer.close()
    assert seqs_in(tmp_path) == list(range(1, 102))


def test_a_disk_that_stays_full_gets_no_row_of_empty_segments(
    tmp_path: Path, made: Callable[..., Writer], disk: Disk, clock: Clock
) -> None:
    writer = made()
    writer.append(frame(1))
    for seq in range(2, 51):
        disk.faults = ["full", "none", "full"] if seq == 2 else ["full"] * 5
        writer.append(frame(seq))
        writer.sync()
        clock.now_s += RETRY_S
    disk.faults = []
    writer.close()

    assert len(segments(tmp_path)) <= 2
    assert seqs_in(tmp_path) == list(range(1, 51))


def test_what_finds_no_room_in_memory_is_lost_until_all_that_waited_is_written(
    tmp_path: Path, made: Callable[..., Writer], disk: Disk, clock: Clock
) -> None:
    writer = made(ring_bytes=1000)
    disk.faults = ["full"] * 1000
    for seq in range(1, 101):
        writer.append(frame(seq))
    waiting = writer.waiting
    assert writer.trouble == "losing"
    assert writer.lost == 100 - waiting

    disk.faults = []
    clock.now_s += RETRY_S
    writer.append(frame(101))
    writer.close()
    assert (writer.trouble, writer.lost) == ("none", 100 - waiting)
    assert seqs_in(tmp_path) == [*range(1, waiting + 1), 101]


def test_what_still_waits_at_the_end_is_tried_once_more_and_then_lost(
    tmp_path: Path, made: Callable[..., Writer], disk: Disk
) -> None:
    writer = made()
    disk.faults = ["full"] * 6
    for seq in range(1, 11):
        writer.append(frame(seq))
    disk.faults = ["none", "none", "full", "full"]
    writer.close()

    assert seqs_in(tmp_path) == [1, 2]
    assert (writer.lost, writer.waiting, writer.trouble) == (8, 0, "losing")


def test_after_a_failed_sync_frames_go_elsewhere_even_if_the_next_sync_succeeds(
    tmp_path: Path, made: Callable[..., Writer], disk: Disk
) -> None:
    writer = made()
    writer.append(frame(1))
    disk.sync_faults = [True]
    writer.sync()
    writer.sync()
    writer.append(frame(2))
    writer.close()

    assert [name.number for name in segments(tmp_path)] == [1, 2]
    assert disk.written_after_refusal == 0
    assert (writer.sync_errors, writer.lost) == (1, 0)


def test_a_disk_that_has_failed_from_the_start_is_waited_for(
    tmp_path: Path, made: Callable[..., Writer], disk: Disk, clock: Clock
) -> None:
    disk.faults = ["eio"] * 20
    writer = made()
    for seq in range(1, 11):
        writer.append(frame(seq))
    assert (writer.waiting, segments(tmp_path)) == (10, [])

    disk.faults = []
    writer.sync()
    writer.append(frame(11))
    writer.close()
    assert seqs_in(tmp_path) == list(range(1, 12))


def content(seq: int) -> Content:
    return Content(kind="comment", seq=seq, application="a", captured_at=1, expires_at=1, body=b"canary", size_bytes=6)


def test_content_is_dropped_while_records_wait_and_taken_again_after_them(tmp_path: Path):
    disk, clock = Disk(), Clock()
    writer = Writer(tmp_path, "w0", "b1", clock=clock, pwrite=disk.pwrite)
    first = writer.append_content(content(1))
    disk.faults = ["full"] * 1000
    writer.append(frame(1))
    refused = [writer.append_content(content(2)), writer.append_content(content(3))]
    waiting = writer.waiting
    disk.faults = []
    clock.now_s += RETRY_S
    writer.tend()
    last = writer.append_content(content(4))
    writer.close()
    found = b"".join((tmp_path / name.file_name).read_bytes() for name in segments(tmp_path))

    assert (first, refused, last) == (True, [False, False], True)
    assert (waiting, writer.kept, writer.lost) == (1, 1, 0)
    assert found.count(b"canary") == 2


def test_content_that_meets_the_full_disk_first_is_dropped_and_makes_no_trouble(tmp_path: Path):
    disk, clock = Disk(), Clock()
    writer = Writer(tmp_path, "w0", "b1", clock=clock, pwrite=disk.pwrite)
    disk.faults = ["full"] * 3
    refused = writer.append_content(content(1))
    disk.faults = []
    clock.now_s += RETRY_S
    writer.append(frame(1))
    writer.close()

    assert (refused, writer.waiting, writer.lost) == (False, 0, 0)
    assert seqs_in(tmp_path) == [1]


def test_content_that_is_too_long_for_a_frame_is_dropped(tmp_path: Path):
    writer = Writer(tmp_path, "w0", "b1")
    long = msgspec.structs.replace(content(1), body=bytes(MAX_FRAME_BYTES))

    assert not writer.append_content(long)
    assert writer.lost == 0
    writer.close()
