"""A writer to whom nothing comes any more: its last segment ends by age, so that no content outlives its promise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.content import Content
from analytics.journal.segment import is_live, segments
from analytics.journal.writer import SEGMENT_S, Writer
from analytics.record import Frame, Opened, Record

Frames = Callable[[Path], list[Frame]]
CONTENT = Content(kind="answer", seq=1, application="a", captured_at=1, expires_at=1, body=b"canary", size_bytes=6)


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> Writer:
    return Writer(tmp_path, "w0", "b1", segment_bytes=100_000, clock=clock)


def held(directory: Path) -> dict[int, bool]:
    """Return the segments by number, and whether a writer holds each."""
    return {name.number: is_live(directory / name.file_name) for name in segments(directory)}


def wait(writer: Writer, clock: Clock, seconds: float) -> None:
    """Let time pass as it does in a worker: another thread syncs, and the one that appends tends."""
    ends_s = clock.now_s + seconds
    while clock.now_s < ends_s:
        clock.now_s += min(1.0, ends_s - clock.now_s)
        writer.sync()
        writer.tend()


@pytest.mark.parametrize("frame", ["content", "record"])
def test_a_segment_that_holds_a_frame_is_let_go_of_at_its_age_although_nothing_comes(
    tmp_path: Path, writer: Writer, clock: Clock, closed: Callable[[int], Record], frames_in: Frames, frame: str
) -> None:
    if frame == "content":
        writer.append_content(CONTENT)
    else:
        writer.append(closed(1))
    wait(writer, clock, SEGMENT_S - 1)
    young = held(tmp_path)
    wait(writer, clock, 1)
    writer.sync()

    assert young == {1: True}
    assert held(tmp_path) == {1: False, 2: True}
    assert (tmp_path / segments(tmp_path)[0].file_name).stat().st_size < 1000
    assert frames_in(tmp_path) == [CONTENT if frame == "content" else closed(1)]
    writer.close()


def test_a_writer_to_whom_nothing_comes_makes_no_further_segments(
    tmp_path: Path, writer: Writer, clock: Clock, closed: Callable[[int], Record]
) -> None:
    wait(writer, clock, 5 * SEGMENT_S)
    before = held(tmp_path)
    writer.append(closed(1))
    wait(writer, clock, 2 * SEGMENT_S)
    files, number = sorted(tmp_path.iterdir()), max(held(tmp_path))
    wait(writer, clock, 30 * SEGMENT_S)

    assert before == {1: True}
    assert number == 3, "the first was old when its first frame came"
    assert sorted(tmp_path.iterdir()) == files
    assert held(tmp_path)[3]
    writer.close()


def test_the_thread_that_appends_never_makes_the_segment_that_follows_by_age(
    tmp_path: Path, writer: Writer, clock: Clock, closed: Callable[[int], Record]
) -> None:
    writer.append(closed(1))
    clock.now_s += SEGMENT_S
    writer.tend()
    unprepared = held(tmp_path)
    writer.sync()
    writer.tend()

    assert unprepared == {1: True}
    assert held(tmp_path) == {1: False, 2: True}
    writer.close()


def test_a_segment_that_was_removed_is_put_back_before_the_next_one_begins(
    tmp_path: Path, writer: Writer, clock: Clock, closed: Callable[[int], Record], frames_in: Frames
) -> None:
    writer.append(closed(1))
    wait(writer, clock, SEGMENT_S - 1)
    (tmp_path / segments(tmp_path)[0].file_name).unlink()
    clock.now_s += 1
    writer.tend()
    gone = held(tmp_path)
    wait(writer, clock, 2)
    writer.append(closed(2))
    writer.close()

    assert gone == {}
    assert frames_in(tmp_path) == [closed(1), closed(2)]
    assert writer.lost == 0


TENDING = """
import sys
from pathlib import Path
from analytics.journal.writer import Writer
from analytics.record import Opened, Record
now_s = 0.0
writer = Writer(Path(sys.argv[1]), "w0", "b1", segment_bytes=100_000, segment_s=1.0, clock=lambda: now_s)
while True:
    seq = writer.next_seq()
    request = {"request_id": f"0199b0c0-0000-7000-8000-{seq:012x}", "seq": seq, "started_at": 1}
    writer.append(Opened(**request))
    writer.append(Record(**request, outcome="ok"))
    sys.stdout.write(f"{seq}\\n")
    sys.stdout.flush()
    now_s += 1.0
    writer.sync()
    writer.tend()
"""
"""Each request's segment is old, and ends by `tend`, before the next request comes."""


@pytest.mark.parametrize("lines", [1, 30, 300])
def test_a_kill_while_old_segments_end_loses_nothing(tmp_path: Path, frames_in: Frames, lines: int) -> None:
    with subprocess.Popen([sys.executable, "-c", TENDING, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(lines)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    frames = frames_in(tmp_path)
    seqs = [frame.seq for frame in frames if isinstance(frame, Opened | Record)]

    assert {frame.seq for frame in frames if isinstance(frame, Record)} >= set(acknowledged)
    assert seqs == sorted(seqs)
    assert len(held(tmp_path)) >= lines
    assert not any(held(tmp_path).values())
