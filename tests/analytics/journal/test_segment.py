from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.journal.segment import Segment, SegmentName, is_live, parse_name, segments


@given(
    worker=st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
    boot=st.from_regex(r"[A-Za-z0-9_]{1,20}", fullmatch=True),
    number=st.integers(min_value=0, max_value=10**8),
)
def test_a_name_survives_its_file_name(worker: str, boot: str, number: int) -> None:
    name = SegmentName(worker, boot, number)

    assert parse_name(name.file_name) == name


@pytest.mark.parametrize(
    "file_name", ["shipper.lock", "w0-b1-1.segment", "w0-b1.segment", "w0-b1-000001.segment.tmp", "w0-b1-abc.unborn"]
)
def test_other_files_are_no_segments(file_name: str) -> None:
    assert parse_name(file_name) is None


def test_segments_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = [SegmentName("w0", "b1", number) for number in (2, 10, 999_999, 1_000_000)]
    for name in reversed(names):
        (tmp_path / name.file_name).touch()

    assert segments(tmp_path) == names


def test_a_journal_that_does_not_exist_has_no_segments(tmp_path: Path) -> None:
    assert segments(tmp_path / "nowhere") == []


def test_a_segment_that_is_gone_is_not_live(tmp_path: Path) -> None:
    assert not is_live(tmp_path / "w0-b1-000001.segment")


def test_a_segment_is_locked_before_it_has_its_name(tmp_path: Path) -> None:
    segment = Segment(tmp_path, "w0", "b1", segment_bytes=4096)
    assert segments(tmp_path) == []
    assert is_live(next(tmp_path.iterdir()))

    name = SegmentName("w0", "b1", 1)
    segment.publish(name, 0.0, 60.0)
    assert segments(tmp_path) == [name]
    assert is_live(tmp_path / name.file_name)

    segment.release()
    assert not is_live(tmp_path / name.file_name)
    segment.retire()
