from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.journal.frame import MAX_FRAME_BYTES
from analytics.journal.segment import UNBORN_SUFFIX, is_live, parse_name, segments
from analytics.journal.writer import RETRY_S, Writer
from analytics.record import Frame, Opened, Record

Frames = Callable[[Path], list[Frame]]


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def paths(directory: Path) -> list[Path]:
    return [directory / name.file_name for name in segments(directory)]


def test_sequence_numbers_count_from_1(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "w0", "b1")

    assert [writer.next_seq() for _ in range(3)] == [1, 2, 3]
    writer.close()


def test_every_frame_appended_can_be_read_while_the_writer_goes_on(
    tmp_path: Path, opened: Callable[[int], Opened], closed: Callable[[int], Record], frames_in: Frames
) -> None:
    writer = Writer(tmp_path / "journal", "w0", "b1")
    frames: list[Frame] = []
    for seq in range(1, 50):
        frames += [opened(seq), closed(seq)]
        writer.append(frames[-2])
        writer.append(frames[-1])

        assert frames_in(tmp_path / "journal")[-2:] == frames[-2:]
    assert frames_in(tmp_path / "journal") == frames
    writer.close()


def test_a_segment_is_locked_while_it_is_written_and_preallocated(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "w0", "b1", segment_bytes=1024 * 1024)
    [path] = paths(tmp_path)

    assert path.name == "w0-b1-000001.segment"
    assert is_live(path)
    assert path.stat().st_size == 1024 * 1024
    writer.close()


def test_closing_cuts_the_segment_to_its_written_length_and_lets_go_of_it(
    tmp_path: Path, closed: Callable[[int], Record], frames_in: Frames
) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    writer.append(closed(1))
    writer.close()
    [path] = paths(tmp_path)

    assert not is_live(path)
    assert path.stat().st_size < 1000
    assert frames_in(tmp_path) == [closed(1)]


def test_what_is_appended_after_closing_is_counted_as_lost(tmp_path: Path, closed: Callable[[int], Record]) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    writer.close()
    writer.append(closed(1))

    assert writer.lost == 1


def test_a_full_segment_is_followed_by_the_next_and_no_frame_is_missing(
    tmp_path: Path, closed: Callable[[int], Record], frames_in: Frames
) -> None:
    writer = Writer(tmp_path, "w0", "b1", segment_bytes=2000)
    frames = [closed(seq) for seq in range(1, 101)]
    for frame in frames:
        writer.append(frame)
        if frame.seq % 7 == 0:
            writer.sync()
    writer.close()

    assert frames_in(tmp_path) == frames
    assert len(paths(tmp_path)) > 3
    assert all(path.stat().st_size <= 2000 for path in paths(tmp_path))
    assert list(tmp_path.glob(f"*{UNBORN_SUFFIX}")) == []
    assert writer.lost == 0


def test_an_old_segment_is_followed_by_the_next_with_the_next_frame(
    tmp_path: Path, closed: Callable[[int], Record], frames_in: Frames
) -> None:
    clock = Clock()
    writer = Writer(tmp_path, "w0", "b1", segment_s=60, clock=clock)
    writer.append(closed(1))
    clock.now_s += 60
    writer.append(closed(2))

    assert [parsed.number for path in paths(tmp_path) if (parsed := parse_name(path.name))] == [1, 2]
    assert [is_live(path) for path in paths(tmp_path)] == [False, True]
    assert frames_in(tmp_path) == [closed(1), closed(2)]
    writer.close()


def test_the_next_segment_is_made_ahead_by_sync_once_the_present_one_is_half_spent(tmp_path: Path) -> None:
    clock = Clock()
    writer = Writer(tmp_path, "w0", "b1", segment_s=60, clock=clock)
    writer.sync()
    assert list(tmp_path.glob(f"*{UNBORN_SUFFIX}")) == []

    clock.now_s += 30
    writer.sync()
    writer.sync()
    assert len(list(tmp_path.glob(f"*{UNBORN_SUFFIX}"))) == 1
    assert len(paths(tmp_path)) == 1

    writer.close()
    assert list(tmp_path.glob(f"*{UNBORN_SUFFIX}")) == []


def test_a_frame_that_cannot_be_encoded_or_is_too_large_is_lost_and_counted_and_the_rest_is_written(
    tmp_path: Path, closed: Callable[[int], Record], frames_in: Frames
) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    writer.append(Opened(request_id="\ud800", seq=1, started_at=1))
    writer.append(Opened(request_id="x" * (MAX_FRAME_BYTES + 1), seq=2, started_at=1))
    writer.append(Opened(request_id="x", seq=2**70, started_at=1))
    writer.append(closed(4))
    writer.close()

    assert writer.lost == 3
    assert frames_in(tmp_path) == [closed(4)]


@pytest.mark.parametrize(("worker", "boot"), [("w/0", "b1"), ("", "b1"), ("w0", "b-1"), ("w0", ""), ("w0", "b" * 65)])
def test_names_that_fit_no_file_name_are_refused(tmp_path: Path, worker: str, boot: str) -> None:
    with pytest.raises(ValueError, match="cannot name a segment"):
        Writer(tmp_path, worker, boot)


def test_a_directory_that_vanishes_costs_frames_but_no_exception_and_its_return_ends_the_loss(
    tmp_path: Path, closed: Callable[[int], Record], frames_in: Frames
) -> None:
    clock = Clock()
    journal = tmp_path / "journal"
    writer = Writer(journal, "w0", "b1", segment_bytes=300, clock=clock)
    moved = journal.rename(tmp_path / "elsewhere")
    for seq in range(1, 11):
        writer.append(closed(seq))
    written = frames_in(moved)
    moved.rename(journal)
    clock.now_s += RETRY_S
    writer.append(closed(11))
    writer.close()

    assert written == [closed(seq) for seq in range(1, 11)], "a segment that cannot be followed goes on"
    assert frames_in(journal) == [closed(seq) for seq in range(1, 12)]
    assert writer.lost == 0


def test_a_sync_that_cannot_prepare_is_counted_and_costs_no_frame(
    tmp_path: Path, closed: Callable[[int], Record], frames_in: Frames
) -> None:
    clock = Clock()
    writer = Writer(tmp_path / "journal", "w0", "b1", segment_s=60, clock=clock)
    moved = (tmp_path / "journal").rename(tmp_path / "elsewhere")
    (tmp_path / "journal").touch()
    clock.now_s += 30
    writer.sync()
    writer.append(closed(1))
    (tmp_path / "journal").unlink()
    moved.rename(tmp_path / "journal")
    writer.close()

    assert (writer.sync_errors, writer.lost) == (2, 0)
    assert frames_in(tmp_path / "journal") == [closed(1)]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="a descriptor that cannot be synced is found in /proc")
def test_a_segment_that_could_not_be_synced_gets_no_more_frames(
    tmp_path: Path, closed: Callable[[int], Record], frames_in: Frames
) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    writer.append(closed(1))
    [number] = [int(fd.name) for fd in Path("/proc/self/fd").iterdir() if fd.resolve() == paths(tmp_path)[0].resolve()]
    kept = os.dup(number)
    reading, writing = os.pipe()
    os.dup2(writing, number)
    writer.sync()
    os.dup2(kept, number)
    writer.append(closed(2))
    writer.close()
    for fd in (kept, reading, writing):
        os.close(fd)

    assert writer.sync_errors == 2, "neither synced nor, with its name leading elsewhere, copied"
    assert [path.name for path in paths(tmp_path)] == ["w0-b1-000001.segment", "w0-b1-000002.segment"]
    assert frames_in(tmp_path) == [closed(1), closed(2)]


LIMITED = """
import resource, sys
from pathlib import Path
from analytics.journal.writer import Writer
from analytics.record import Record
clock = [0.0]
writer = Writer(Path(sys.argv[1]), "w0", "b1", segment_bytes=1 << 20, clock=lambda: clock[0])
def record(seq):
    return Record(request_id=f"0199b0c0-0000-7000-8000-{seq:012x}", seq=seq, started_at=1, outcome="ok")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
for seq in range(1, 201):
    writer.append(record(seq))
    if seq % 10 == 0:
        writer.sync()
waited = writer.waiting
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
clock[0] += 2.0
for seq in range(201, 211):
    writer.append(record(seq))
writer.close()
print(waited, writer.lost, writer.kept, writer.written_late)
"""


def limited(directory: Path, file_bytes: int) -> list[int]:
    """Return how many frames waited before the limit was lifted, and in the end lost, kept and written late."""
    command = [sys.executable, "-c", LIMITED, str(directory), str(file_bytes)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [int(word) for word in ended.stdout.split()]


def test_a_short_write_is_cut_off_again_and_goes_into_the_next_segment(tmp_path: Path, frames_in: Frames) -> None:
    assert limited(tmp_path, 4096) == [0, 0, 0, 0]
    assert [frame.seq for frame in frames_in(tmp_path)] == list(range(1, 211))


@pytest.mark.parametrize("file_bytes", [0, 40])
def test_where_nothing_can_be_written_frames_wait_and_are_written_once_there_is_room_again(
    tmp_path: Path, frames_in: Frames, file_bytes: int
) -> None:
    waited, lost, kept, written_late = limited(tmp_path, file_bytes)

    assert (waited, lost) == (200, 0)
    assert kept == written_late >= 200
    assert [frame.seq for frame in frames_in(tmp_path)] == list(range(1, 211))


APPENDING = """
import sys
from pathlib import Path
from analytics.journal.syncer import Syncer
from analytics.journal.writer import Writer
from analytics.record import Opened, Record
writer = Writer(Path(sys.argv[1]), "w0", "b1", segment_bytes=20_000)
with Syncer(writer, every_s=0.01):
    while True:
        seq = writer.next_seq()
        request = {"request_id": f"0199b0c0-0000-7000-8000-{seq:012x}", "seq": seq, "started_at": 1}
        writer.append(Opened(**request))
        writer.append(Record(**request, outcome="ok"))
        sys.stdout.write(f"{seq}\\n")
        sys.stdout.flush()
"""


@pytest.mark.parametrize("lines", [1, 100, 1000])
def test_a_killed_writer_leaves_every_frame_that_it_had_appended(tmp_path: Path, frames_in: Frames, lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", APPENDING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(lines)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    frames = frames_in(tmp_path)

    assert {frame.seq for frame in frames if isinstance(frame, Record)} >= set(acknowledged)
    assert [frame.seq for frame in frames] == sorted(frame.seq for frame in frames)
    assert not any(is_live(path) for path in paths(tmp_path))
