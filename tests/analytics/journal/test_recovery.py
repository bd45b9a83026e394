from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.journal.frame import pack_head
from analytics.journal.reader import SegmentReader
from analytics.journal.recovery import Recovered, quarantined, recover, sweep
from analytics.journal.segment import Segment
from analytics.journal.writer import Writer
from analytics.record import Record

NAME = "w0-b1-000001.segment"


@pytest.fixture
def segment(tmp_path: Path, closed: Callable[[int], Record]) -> Path:
    writer = Writer(tmp_path, "w0", "b1")
    for seq in range(1, 4):
        writer.append(closed(seq))
    writer.close()
    return tmp_path / NAME


def test_a_live_segment_is_left_alone(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "w0", "b1", segment_bytes=10_000)

    assert recover(tmp_path / NAME) is None
    assert (tmp_path / NAME).stat().st_size == 10_000
    writer.close()


def test_preallocated_zeros_are_cut_off_and_nothing_is_quarantined(segment: Path) -> None:
    sound = segment.read_bytes()
    segment.write_bytes(sound + bytes(3_000_000))

    assert recover(segment) == Recovered(valid_end=len(sound), quarantined_bytes=0)
    assert segment.read_bytes() == sound
    assert quarantined(segment.parent) == 0


def test_an_unsound_tail_is_copied_to_quarantine_and_cut_off_and_found_only_once(segment: Path) -> None:
    sound = segment.read_bytes()
    tail = sound[-50:-7] + bytes(2_000_000) + b"x"
    segment.write_bytes(sound + tail + bytes(4096))

    assert recover(segment) == Recovered(valid_end=len(sound), quarantined_bytes=len(tail))
    assert recover(segment) == Recovered(valid_end=len(sound), quarantined_bytes=0)
    [copy] = (segment.parent / "quarantine").iterdir()
    assert copy.read_bytes() == tail
    assert quarantined(segment.parent) == 1


@given(cut=st.integers(min_value=0))
def test_a_segment_torn_anywhere_keeps_the_frames_before_the_tear(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / NAME
    writer = Writer(path.parent, "w0", "b1")
    for seq in range(1, 6):
        writer.append(Record(request_id="x", seq=seq, started_at=1, outcome="ok"))
    writer.close()
    whole = path.read_bytes()
    head_bytes = len(pack_head("w0", "b1"))
    path.write_bytes(whole[: head_bytes + cut % (len(whole) - head_bytes)] + b"\xff")
    found = recover(path)

    assert found is not None
    with SegmentReader(path) as reader:
        seqs = [frame.seq for _, frame in reader.frames()]
    assert seqs == list(range(1, len(seqs) + 1))
    assert path.stat().st_size == found.valid_end


def test_segments_whose_writer_died_before_naming_them_are_swept_away_once_they_are_old(tmp_path: Path) -> None:
    living = Segment(tmp_path, "w0", "b1", segment_bytes=4096)
    dead = tmp_path / "w1-b2-0123.unborn"
    dead.write_bytes(b"")
    born_s = dead.stat().st_mtime
    os.utime(tmp_path / living._path.name, (born_s, born_s))  # noqa: SLF001 - the name is random

    sweep(tmp_path, older_than_s=60, now_s=born_s + 59)
    assert dead.exists()
    sweep(tmp_path, older_than_s=60, now_s=born_s + 61)
    assert not dead.exists()
    assert len(list(tmp_path.iterdir())) == 1
    living.discard()


def test_a_segment_that_another_one_sweeps_away_first_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "w1-b2-0123.unborn").symlink_to(tmp_path / "gone")

    sweep(tmp_path, older_than_s=60, now_s=0)
