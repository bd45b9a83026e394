from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.lake.compaction import Compacted, Measures
from analytics.lake.directory import Directory
from analytics.lake.elsewhere import Gap
from analytics.lake.layout import FEEDBACK, INCOMING, Heartbeat
from analytics.lake.manifest import read_manifest
from analytics.lake.retention import first_kept, joined, without
from analytics.lake.verify import verify
from tests.fakes.handmade_lake import AT_US, HandmadeLake, compact, record

DAY_US = 86_400_000_000
GRACE_US = 601_000_000
FOUR_DAYS = Measures(retention_days=4)


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    """Return a lake with a request on each of eight days, and feedback on the first and the last."""
    made = HandmadeLake(tmp_path / "lake")
    for day in range(8):
        made.put([record(day + 1, started_at=AT_US + day * DAY_US)])
    for number, day in ((1, 0), (2, 7)):
        facts = {"worker": "w0", "boot": "b1", "seq": number, "received_at": AT_US + day * DAY_US}
        made.put_feedback([{"feedback_id": UUID(int=number), **facts, "thumb": "up"}])
    return made


def at(day: int) -> int:
    return AT_US + day * DAY_US


def days(lake: Path) -> list[str]:
    return sorted(str(path.relative_to(lake)) for path in lake.glob("requests/*"))


def let_go(lake: HandmadeLake, day: int, measures: Measures = FOUR_DAYS) -> Compacted:
    return lake.compact(at(day), measures=measures)


def test_days_are_kept_as_long_as_they_are_to_be_and_their_files_removed_after_a_while(lake: HandmadeLake) -> None:
    done = let_go(lake, 10)
    manifest = read_manifest(lake.lake.store)

    assert done.expired == 6 + 1
    assert (manifest.expired[INCOMING].rows, manifest.expired[FEEDBACK].rows) == (6, 1)
    assert manifest.expired[INCOMING].before == date(2026, 9, 27)
    assert [part.day for part in manifest.parts[INCOMING]] == [date(2026, 9, 27), date(2026, 9, 28)]
    assert len(days(lake.root)) == 8
    lake.compact(at(10) + GRACE_US, measures=FOUR_DAYS)
    assert days(lake.root) == ["requests/date=2026-09-27", "requests/date=2026-09-28"]
    assert not (lake.root / "feedback/date=2026-09-21").exists()
    assert not list(lake.root.glob("merged/*.parquet"))


def test_what_was_let_go_is_not_missed_and_what_is_lost_still_is(lake: HandmadeLake, tmp_path: Path) -> None:
    let_go(lake, 10)
    lake.put([record(11, started_at=at(9))])
    found = verify(lake.root, tmp_path / "journal", sleep=lambda _: None)

    assert (found.records, found.expired, found.feedback.expired) == (3, 6, 1)
    assert found.gaps == [Gap(worker="w0", boot="b1", first_seq=9, last_seq=10)]
    assert found.feedback.gaps == []
    assert found.duplicate_request_ids == 0


def test_without_a_time_everything_is_kept(lake: HandmadeLake) -> None:
    assert lake.compact(at(4000)).expired == 0
    assert len(days(lake.root)) == 8


def test_what_comes_late_for_a_day_that_is_gone_goes_too(lake: HandmadeLake, tmp_path: Path) -> None:
    let_go(lake, 10)
    lake.put([record(90, started_at=at(1)), record(11, started_at=at(9))])
    let_go(lake, 11)
    let_go(lake, 12)
    manifest = read_manifest(lake.lake.store)

    assert manifest.expired[INCOMING].rows == 9
    assert all(part.day is None or part.day >= date(2026, 9, 29) for part in manifest.parts[INCOMING])
    assert Gap(worker="w0", boot="b1", first_seq=90, last_seq=90) in manifest.expired[INCOMING].seqs
    assert verify(lake.root, tmp_path / "journal", sleep=lambda _: None).missing == 2 + 78


def test_numbers_are_remembered_as_long_as_their_boot_may_have_more(lake: HandmadeLake) -> None:
    lake.put([record(51, seq=1, started_at=at(0))], worker="gone")
    lake.put([record(52, seq=1, started_at=at(0))], worker="idle")
    lake.lake.beat(Heartbeat(worker="idle", boot="b1", last_seq=1, at=at(1), host="h", settled_to=1))
    let_go(lake, 10)
    seqs = read_manifest(lake.lake.store).expired[INCOMING].seqs

    assert [(one.worker, one.first_seq, one.last_seq) for one in seqs] == [("idle", 1, 1), ("w0", 1, 6)]


class StoppedError(Exception):
    """It was stopped where a test wanted it."""


class Stopping(Directory):
    """A directory that takes so many changes and no more."""

    def __init__(self, root: Path, changes: int) -> None:
        super().__init__(root)
        self.left = changes

    def place(self, name: str, fill: Any) -> None:
        self._count()
        super().place(name, fill)

    def remove(self, name: str) -> None:
        self._count()
        super().remove(name)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoppedError


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_whoever_was_stopped_anywhere_lets_go_of_the_same_rows_once(tmp_path: Path, stride: int) -> None:
    before = HandmadeLake(tmp_path / "before")
    for day in range(4):
        before.put([record(day + 1, started_at=at(day))])
    before.compact(at(8))
    late = Measures(retention_days=6)
    shutil.copytree(before.root, tmp_path / "whole")
    compact(Directory(tmp_path / "whole"), tmp_path, at(8), measures=late)
    compact(Directory(tmp_path / "whole"), tmp_path, at(8) + GRACE_US, measures=late)
    expected = read_manifest(Directory(tmp_path / "whole"))
    for changes in range(0, 100, stride):
        lake = tmp_path / f"stopped-{changes}"
        shutil.copytree(before.root, lake)
        store = Stopping(lake, changes)
        try:
            compact(store, tmp_path, at(8), measures=late)
            compact(store, tmp_path, at(8) + GRACE_US, measures=late)
        except StoppedError:
            compact(Directory(lake), tmp_path, at(8) + 1, measures=late)
            compact(Directory(lake), tmp_path, at(8) + GRACE_US + 2, measures=late)
            found = verify(lake, tmp_path / "journal", sleep=lambda _: None)
            assert (found.sound, found.records, found.expired) == (True, 2, 2)
            assert read_manifest(Directory(lake)).expired == expected.expired
            assert days(lake) == days(tmp_path / "whole")
        else:
            assert changes > 5
            break


def test_a_day_is_kept_so_many_days_after_its_own() -> None:
    today = datetime.fromtimestamp(at(0) / 1e6, UTC).date()
    assert first_kept(today, 30) == date(2026, 8, 22)
    assert first_kept(today, None) is None
    assert first_kept(date(1970, 1, 1), 4_000_000) == date.min


def spans(seqs: set[int]) -> list[Gap]:
    return joined(Gap(worker="w", boot="b", first_seq=seq, last_seq=seq) for seq in seqs)


def numbers(gaps: list[Gap]) -> set[int]:
    return {seq for gap in gaps for seq in range(gap.first_seq, gap.last_seq + 1)}


@given(st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)))
def test_what_is_missing_and_not_known_is_left(missing: set[int], known: set[int]) -> None:
    left = without(spans(missing), [*spans(known), Gap(worker="other", boot="b", first_seq=1, last_seq=30)])

    assert numbers(left) == missing - known
    assert joined(left) == left
