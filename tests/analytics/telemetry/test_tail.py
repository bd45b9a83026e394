from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analytics.journal.segment import SegmentName, segments
from analytics.journal.writer import Writer
from analytics.record import Frame, Record
from analytics.telemetry.tail import Tail

Settled = Callable[..., Record]


class Reading:
    """A tail of a journal, what it has handed out, and starting it again."""

    def __init__(self, folder: Path) -> None:
        self.journal, self.positions = folder / "journal", folder / "positions"
        self.seen: list[int] = []
        self.tail = self._tail()

    def _tail(self) -> Tail:
        return Tail(self.journal, self.positions, self._take)

    def _take(self, frame: Frame, _name: SegmentName) -> None:
        assert isinstance(frame, Record)
        self.seen.append(frame.seq)

    def look(self) -> list[int]:
        self.tail.look(segments(self.journal))
        return self.seen

    def begin_again(self) -> None:
        self.tail.close()
        self.tail = self._tail()


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[Reading]:
    made = Reading(tmp_path)
    yield made
    made.tail.close()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path / "journal", "w0", "b1")
    yield made
    made.close()


def test_each_frame_is_seen_once_as_soon_as_it_is_there(reading: Reading, writer: Writer, settled: Settled) -> None:
    writer.append(settled(1))
    assert reading.look() == [1]
    writer.append(settled(2))
    writer.append(settled(3))

    assert reading.look() == [1, 2, 3]
    assert reading.look() == [1, 2, 3]


def test_a_tail_that_begins_again_sees_nothing_twice(reading: Reading, writer: Writer, settled: Settled) -> None:
    writer.append(settled(1))
    reading.look()
    writer.append(settled(2))
    reading.begin_again()

    assert reading.look() == [1, 2]


def test_of_a_segment_that_is_removed_the_rest_is_seen_too(reading: Reading, writer: Writer, settled: Settled) -> None:
    writer.append(settled(1))
    reading.look()
    writer.append(settled(2))
    writer.close()
    for path in reading.journal.glob("*.segment"):
        path.unlink()

    assert reading.look() == [1, 2]


def test_a_segment_that_comes_back_under_its_name_is_not_read_again(
    reading: Reading, writer: Writer, settled: Settled
) -> None:
    writer.append(settled(1))
    reading.look()
    (path,) = reading.journal.glob("*.segment")
    whole = path.read_bytes()
    path.unlink()
    reading.look()
    path.write_bytes(whole)
    assert reading.look() == [1]

    path.unlink()
    path.write_bytes(whole)
    assert reading.look() == [1]


def test_a_segment_that_was_replaced_between_two_looks_is_read_on(
    reading: Reading, writer: Writer, settled: Settled
) -> None:
    writer.append(settled(1))
    reading.look()
    writer.append(settled(2))
    (path,) = reading.journal.glob("*.segment")
    copy = path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)

    assert reading.look() == [1, 2]


def test_a_segment_that_nobody_can_read_is_passed_over(reading: Reading, writer: Writer, settled: Settled) -> None:
    writer.append(settled(1))
    (reading.journal / "w0-b0-000000.segment").write_bytes(b"no head")

    assert reading.look() == [1]
    assert reading.look() == [1]
    assert reading.tail.troubles == 0


def test_a_segment_that_is_no_file_is_counted_and_the_others_are_read(
    reading: Reading, writer: Writer, settled: Settled
) -> None:
    writer.append(settled(1))
    (reading.journal / "w0-b0-000000.segment").mkdir()

    assert reading.look() == [1]
    assert reading.tail.troubles == 1


def test_a_name_without_a_file_is_passed_over(reading: Reading) -> None:
    reading.tail.look([SegmentName("w0", "b1", 0)])

    assert reading.tail.troubles == 0


def test_positions_that_cannot_be_kept_are_counted(reading: Reading, writer: Writer, settled: Settled) -> None:
    writer.append(settled(1))
    reading.positions.mkdir()
    (reading.positions / "in the way").touch()

    assert reading.look() == [1]
    assert reading.tail.troubles == 1


def test_ends_of_segments_that_are_gone_are_remembered_for_a_bounded_while(
    reading: Reading, writer: Writer, settled: Settled
) -> None:
    writer.close()
    reading.journal.mkdir(exist_ok=True)
    for number in range(1_010):
        name = SegmentName("w9", "b9", number)
        (reading.journal / name.file_name).write_bytes(b"no head")
        reading.tail.look([name])
    reading.tail.look([])

    assert not reading.tail.places
    assert settled(1).seq not in reading.seen
