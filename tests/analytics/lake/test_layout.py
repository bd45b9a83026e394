from __future__ import annotations

from pathlib import Path

import pytest

from analytics.lake.directory import place
from analytics.lake.layout import HEARTBEATS, Heartbeat, Lake, Sealed

BOOT = ("w0", "b1")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def lake(root: Path) -> Lake:
    made = Lake(root)
    made.prepare()
    return made


def test_the_names_of_files_say_how_far_each_segment_is_sealed(lake: Lake, root: Path) -> None:
    for number, start, end in [(1, 16, 500), (1, 500, 90_000), (12, 16, 20)]:
        (root / lake.range_file(BOOT, number, start, end)).touch()
    given_up = lake.interrupted_file(BOOT, 7)
    (root / given_up).touch()

    assert lake.sealed(BOOT) == Sealed(ends={1: 90_000, 12: 20}, interrupted=[given_up])


def test_files_of_other_boots_and_workers_do_not_count(lake: Lake, root: Path) -> None:
    others = [("w0", "b2"), ("w0-b1", "x"), ("w", "b1"), ("w0-b1", "000001")]
    for boot in others:
        (root / lake.range_file(boot, 1, 16, 500)).touch()
        (root / lake.interrupted_file(boot, 3)).touch()

    assert lake.sealed(BOOT) == Sealed(ends={}, interrupted=[])


def test_unfinished_files_count_for_nothing_and_are_removed_if_they_are_the_boots_own(lake: Lake, root: Path) -> None:
    own = [lake.range_file(BOOT, 1, 16, 500), lake.interrupted_file(BOOT, 3)]
    foreign = lake.range_file(("w0-b1", "b2"), 1, 16, 500)
    unfinished = [root / f"{name}.tmp" for name in (*own, foreign)]
    for path in unfinished:
        path.touch()

    assert lake.sealed(BOOT) == Sealed(ends={}, interrupted=[])
    assert [path.exists() for path in unfinished] == [False, False, True]
    assert lake.files() == {}


def test_a_heartbeat_is_replaced_by_the_next(lake: Lake, root: Path) -> None:
    first = Heartbeat(worker="w0", boot="b1", last_seq=5, at=10)
    second = Heartbeat(worker="w0", boot="b1", last_seq=9, at=20)
    lake.beat(first)
    lake.beat(second)

    assert lake.heartbeat("w0") == second
    assert lake.all_heartbeats() == [second]


def test_a_heartbeat_that_cannot_be_read_is_none(lake: Lake, root: Path) -> None:
    (root / HEARTBEATS / "w0.json").write_text("{")

    assert lake.heartbeat("w0") is None
    assert lake.heartbeat("w1") is None
    assert lake.all_heartbeats() == []


def test_a_file_has_its_name_only_once_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.parquet"

    def fail(unfinished: Path) -> None:
        unfinished.write_bytes(b"half")
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - any will do
        place(target, fail)
    assert not target.exists()

    def write(unfinished: Path) -> None:
        unfinished.write_bytes(b"whole")

    place(target, write)
    assert target.read_bytes() == b"whole"
