from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.journal.frame import MAX_FRAME_BYTES, DamagedHeadError
from analytics.journal.reader import SegmentReader
from analytics.journal.writer import Writer
from analytics.record import Opened, Record

NAME = "w0-b1-000001.segment"


def test_reading_goes_on_from_the_offset_behind_any_frame(tmp_path: Path, closed: Callable[[int], Record]) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    for seq in range(1, 6):
        writer.append(closed(seq))
    with SegmentReader(tmp_path / NAME) as reader:
        ends = [end for end, _ in reader.frames()]
        for read, end in enumerate(ends, start=1):
            assert [frame.seq for _, frame in reader.frames(end)] == list(range(read + 1, 6))
    writer.close()


def test_a_living_writers_segment_ends_live_and_shows_what_comes_later(
    tmp_path: Path, closed: Callable[[int], Record]
) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    writer.append(closed(1))
    with SegmentReader(tmp_path / NAME) as reader:
        assert [frame for _, frame in reader.frames()] == [closed(1)]
        assert reader.ending == "live"
        writer.append(closed(2))
        assert [frame for _, frame in reader.frames(reader.offset)] == [closed(2)]
    writer.close()


def test_a_dead_writers_segment_ends_at_its_end_or_torn(tmp_path: Path, closed: Callable[[int], Record]) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    writer.append(closed(1))
    writer.close()
    path = tmp_path / NAME
    sound = path.stat().st_size
    endings: list[tuple[str, int]] = []
    for tail in (b"", bytes(500), b"torn frame"):
        path.write_bytes(path.read_bytes()[:sound] + tail)
        with SegmentReader(path) as reader:
            assert [frame for _, frame in reader.frames()] == [closed(1)]
            endings.append((reader.ending, reader.offset))

    assert endings == [("end", sound), ("end", sound), ("torn", sound)]


def test_frames_larger_than_the_readers_window_are_read(tmp_path: Path, closed: Callable[[int], Record]) -> None:
    large = Opened(request_id="x", seq=2, started_at=1, tags={"note": "y" * (MAX_FRAME_BYTES - 200)})
    middle = Opened(request_id="x", seq=3, started_at=1, tags={"note": "y" * 200_000})
    frames = [closed(1), large, middle, middle, large, closed(4)]
    writer = Writer(tmp_path, "w0", "b1")
    for frame in frames:
        writer.append(frame)
    writer.close()

    with SegmentReader(tmp_path / NAME) as reader:
        assert [frame for _, frame in reader.frames()] == frames


def test_frames_of_unknown_content_are_counted_and_passed_over(tmp_path: Path, closed: Callable[[int], Record]) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    strange = Record(request_id="x", seq=1, started_at=1, outcome="exploded")  # pyright: ignore[reportArgumentType] - that is the point
    for frame in (strange, closed(2), strange):
        writer.append(frame)
    writer.close()

    with SegmentReader(tmp_path / NAME) as reader:
        assert [frame for _, frame in reader.frames()] == [closed(2)]
        assert (reader.undecodable, reader.ending) == (2, "end")


def test_a_file_without_a_head_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"not a segment")

    with pytest.raises(DamagedHeadError, match=NAME):
        SegmentReader(path)
