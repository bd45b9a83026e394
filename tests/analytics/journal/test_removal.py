"""Somebody removes what a writer writes; the test is at once the thread that appends and the one that syncs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.journal.segment import segments
from analytics.journal.writer import RETRY_S, Writer
from analytics.record import Frame, Record

Closed = Callable[[int], Record]
Frames = Callable[[Path], list[Frame]]


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(journal: Path, clock: Clock, closed: Closed) -> Writer:
    """Return a writer that has written a frame."""
    made = Writer(journal, "w0", "b1", segment_s=60, clock=clock)
    made.append(closed(1))
    return made


def remove_segments(journal: Path) -> None:
    for path in journal.glob("*.segment"):
        path.unlink()


def replace_segments(journal: Path) -> None:
    for path in journal.glob("*.segment"):
        path.unlink()
        path.write_bytes(b"another")


@pytest.mark.parametrize("remove", [remove_segments, replace_segments, shutil.rmtree])
def test_a_removed_segment_comes_back_whole_and_its_removal_is_said_once(
    remove: Callable[[Path], None],
    writer: Writer,
    journal: Path,
    closed: Closed,
    frames_in: Frames,
    caplog: pytest.LogCaptureFixture,
):
    remove(journal)
    writer.append(closed(2))
    writer.sync()
    writer.append(closed(3))
    writer.sync()
    writer.tend()
    writer.append(closed(4))

    assert frames_in(journal) == [closed(seq) for seq in range(1, 5)]
    writer.sync()
    writer.close()
    assert frames_in(journal) == [closed(seq) for seq in range(1, 5)]
    assert [name.number for name in segments(journal)] == [1]
    assert (writer.lost, writer.sync_errors, writer.trouble) == (0, 0, "none")
    assert [line.levelno for line in caplog.records] == [logging.ERROR]


def test_the_next_segment_does_not_begin_before_a_removed_one_is_back(
    writer: Writer, journal: Path, clock: Clock, closed: Closed, frames_in: Frames
):
    remove_segments(journal)
    clock.now_s += 61
    writer.append(closed(2))
    assert not segments(journal)
    writer.sync()
    writer.tend()
    clock.now_s += RETRY_S
    writer.append(closed(3))

    assert [name.number for name in segments(journal)] == [1, 2]
    assert frames_in(journal) == [closed(1), closed(2), closed(3)]
    writer.close()
    assert writer.lost == 0


def test_a_segment_that_is_moved_back_before_its_copy_takes_its_place_goes_on(
    writer: Writer, journal: Path, tmp_path: Path, closed: Closed, frames_in: Frames
):
    [path] = journal.glob("*.segment")
    path.rename(tmp_path / "aside")
    writer.sync()
    writer.append(closed(2))
    (tmp_path / "aside").rename(path)
    writer.tend()
    writer.append(closed(3))
    writer.close()

    assert frames_in(journal) == [closed(1), closed(2), closed(3)]
    assert [left.name for left in journal.iterdir()] == [path.name]


def test_the_end_puts_back_what_nobody_had_noticed(writer: Writer, journal: Path, closed: Closed, frames_in: Frames):
    shutil.rmtree(journal)
    writer.append(closed(2))
    writer.close()

    assert frames_in(journal) == [closed(1), closed(2)]
    assert writer.lost == 0


def test_what_cannot_be_put_back_until_the_end_is_counted_as_lost(
    writer: Writer, journal: Path, closed: Closed, caplog: pytest.LogCaptureFixture
):
    shutil.rmtree(journal)
    journal.touch()
    writer.append(closed(2))
    for _ in range(3):
        writer.sync()
        writer.tend()
    assert writer.lost == 0
    writer.close()

    assert writer.lost == 2
    assert writer.sync_errors >= 3
    assert len(caplog.records) == 1
