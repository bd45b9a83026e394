"""A copy of lake and journal is what a crash would have left: who goes on from it loses nothing and doubles nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from analytics.journal.writer import Writer
from analytics.lake.capture import Captured, capture
from analytics.lake.compaction import Measures
from analytics.lake.directory import Directory
from analytics.lake.layout import INCOMING
from analytics.lake.shipper import Shipper
from analytics.lake.verify import Verification, verify
from analytics.record import Opened, Record
from tests.fakes.handmade_lake import LATER_US, compact

Opening = Callable[[int], Opened]
Closing = Callable[[int], Record]
NOW_US = 1_790_000_000_000_000


def copied(state: Path, store: Directory, target: Path) -> Captured:
    """Copy a lake and its journal as a backup does."""
    journal = target / "journal"
    journal.mkdir(parents=True)
    found = capture(store, state / "journal", journal, sleep=lambda _: None)
    for name in found.files:
        (target / "lake" / name).parent.mkdir(parents=True, exist_ok=True)
        assert store.bring(name, target / "lake" / name)
    for name, body in found.small.items():
        (target / "lake" / name).parent.mkdir(parents=True, exist_ok=True)
        (target / "lake" / name).write_bytes(body)
    return found


def settled(target: Path) -> Verification:
    """Let a shipper go on from a copy, as after a crash."""
    shipper = Shipper(target / "journal", target / "lake", lambda: NOW_US)
    shipper.tick()
    shipper.close()
    return verify(target / "lake", target / "journal", sleep=lambda _: None)


def test_what_waits_and_what_is_open_is_in_the_copy(tmp_path: Path, opened: Opening, closed: Closing):
    writer = Writer(tmp_path / "journal", "w0", "b1")
    shipper = Shipper(tmp_path / "journal", tmp_path / "lake", lambda: NOW_US)
    for seq in (1, 2, 3):
        writer.append(opened(seq))
    writer.append(closed(2))
    shipper.tick()
    writer.append(closed(1))

    found = copied(tmp_path, Directory(tmp_path / "lake"), tmp_path / "copy")
    writer.close()
    shipper.close()
    result = settled(tmp_path / "copy")

    assert list(found.files) == list(Directory(tmp_path / "lake").sizes(INCOMING))
    assert result.sound
    assert result.outcomes == {"ok": 2, "interrupted": 1}
    assert len(list((tmp_path / "copy/journal").glob("*.segment"))) == 0


def test_what_comes_between_two_listings_is_left_to_the_journal(tmp_path: Path, opened: Opening, closed: Closing):
    """A directory's listing may show a later file and miss an earlier one; the copy has both, or leaves both out."""
    writer = Writer(tmp_path / "journal", "w0", "b1")
    shipper = Shipper(tmp_path / "journal", tmp_path / "lake", lambda: NOW_US)
    for seq in range(1, 4):
        writer.append(opened(seq))
        writer.append(closed(seq))
        shipper.tick()
    first, _, last = sorted(Directory(tmp_path / "lake").sizes(INCOMING), key=lambda name: int(name.split("-")[3]))

    class Hasty(Directory):
        looks = 0

        def sizes(self, folder: str) -> dict[str, int]:
            found = super().sizes(folder)
            if folder != INCOMING:
                return found
            self.looks += 1
            # At the first look, the first file was not there yet for it, though the last one was.
            return {name: size for name, size in found.items() if name != first} if self.looks == 1 else found

    found = copied(tmp_path, Hasty(tmp_path / "lake"), tmp_path / "copy")
    writer.close()
    shipper.close()

    assert {first, last} <= set(found.files)
    assert settled(tmp_path / "copy").sound


def test_a_compacted_lake_is_copied_with_its_manifest_and_the_names_that_tell_its_progress(
    tmp_path: Path, opened: Opening, closed: Closing
):
    writer = Writer(tmp_path / "journal", "w0", "b1")
    shipper = Shipper(tmp_path / "journal", tmp_path / "lake", lambda: NOW_US)
    for seq in range(1, 5):
        writer.append(opened(seq))
        writer.append(closed(seq))
        shipper.tick()
    done = compact(Directory(tmp_path / "lake"), tmp_path / "scratch", journal=tmp_path / "journal")
    assert done.replaced == 4

    found = copied(tmp_path, Directory(tmp_path / "lake"), tmp_path / "copy")
    writer.close()
    shipper.close()
    result = settled(tmp_path / "copy")

    assert [name for name in found.small if "manifest" in name]
    assert result.sound
    assert result.records == 4
    later_us = LATER_US + 3_600_000_000
    assert compact(Directory(tmp_path / "copy/lake"), tmp_path / "scratch", later_us).removed == 4


def test_a_file_that_went_away_makes_it_look_again(tmp_path: Path, opened: Opening, closed: Closing):
    writer = Writer(tmp_path / "journal", "w0", "b1")
    shipper = Shipper(tmp_path / "journal", tmp_path / "lake", lambda: NOW_US)
    writer.append(opened(1))
    writer.append(closed(1))
    shipper.tick()

    class Forgetful(Directory):
        looks = 0

        def sizes(self, folder: str) -> dict[str, int]:
            self.looks += folder == INCOMING
            ghost = {f"{INCOMING}/w9-b9-000001-0-9.parquet": 1} if folder == INCOMING and self.looks == 1 else {}
            return {**super().sizes(folder), **ghost}

    store = Forgetful(tmp_path / "lake")
    found = copied(tmp_path, store, tmp_path / "copy")
    writer.close()
    shipper.close()

    assert store.looks > 3
    assert len(found.files) == 1
    assert settled(tmp_path / "copy").sound


def test_a_boot_that_came_and_went_unseen_makes_it_look_again(tmp_path: Path, opened: Opening, closed: Closing):
    (tmp_path / "journal").mkdir()
    shipper = Shipper(tmp_path / "journal", tmp_path / "lake", lambda: NOW_US)

    class Busy(Directory):
        looks = 0

        def sizes(self, folder: str) -> dict[str, int]:
            self.looks += folder == INCOMING
            if folder == INCOMING and self.looks == 3:
                flash = Writer(tmp_path / "journal", "w0", "b1")
                for seq in (1, 2):
                    flash.append(opened(seq))
                    flash.append(closed(seq))
                flash.close()
                shipper.tick()
            return super().sizes(folder)

    store = Busy(tmp_path / "lake")
    found = copied(tmp_path, store, tmp_path / "copy")
    shipper.close()

    assert store.looks > 3
    assert len(found.files) == 1
    assert settled(tmp_path / "copy").records == 2


def test_a_lake_that_never_holds_still_is_given_up(tmp_path: Path, opened: Opening, closed: Closing):
    (tmp_path / "journal").mkdir()

    class Restless(Directory):
        looks = 0

        def sizes(self, folder: str) -> dict[str, int]:
            self.looks += 1
            return {f"{folder}/w9-b9-000001-0-{self.looks}.parquet": 1}

    with pytest.raises(OSError, match="faster than they can be copied"):
        copied(tmp_path, Restless(tmp_path / "lake"), tmp_path / "copy")


class Bustle:
    """Requests in tiny segments, a shipper and a compaction, in threads, on one state directory."""

    def __init__(self, state: Path, opened: Opening, closed: Closing) -> None:
        self._state, self._opened, self._closed = state, opened, closed
        self._over = threading.Event()
        self.answered = 0
        self._writer = Writer(state / "journal", "w0", "b1", segment_bytes=64 * 1024)
        self._shipper = Shipper(state / "journal", state / "lake", lambda: NOW_US)
        self._threads = [threading.Thread(target=one) for one in (self._ask, self._ship, self._merge)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._writer.close()
        self._shipper.close()

    def _ask(self) -> None:
        under_way: list[int] = []
        for seq in range(1, 1_000_000):
            self._writer.append(self._opened(seq))
            under_way.append(seq)
            if len(under_way) > 3:
                self._writer.append(self._closed(under_way.pop(seq % 3)))
                self.answered += 1
            if self._over.wait(0.001):
                return

    def _ship(self) -> None:
        while not self._over.wait(0.005):
            self._shipper.tick()

    def _merge(self) -> None:
        measures = Measures(most_merged=2, grace_s=0)
        while not self._over.wait(0.02):
            compact(Directory(self._state / "lake"), self._state / "scratch", NOW_US, self._state / "journal", measures)


def copied_at_last(state: Path, target: Path) -> None:
    """Copy, and once more where a file went away meanwhile, as whoever backs up does."""
    for number in range(100):
        try:
            copied(state, Directory(state / "lake"), target)
        except AssertionError:
            target.rename(target.with_name(f"{target.name}-left-{number}"))
        else:
            return


def test_copies_taken_while_everything_goes_on_lose_and_double_nothing(
    tmp_path: Path, opened: Opening, closed: Closing
):
    with Bustle(tmp_path, opened, closed) as bustle:
        for number in range(4):
            answered = bustle.answered
            copied_at_last(tmp_path, tmp_path / f"copy-{number}")
            result = settled(tmp_path / f"copy-{number}")
            assert result.sound, result
            assert result.records >= answered
    assert bustle.answered
