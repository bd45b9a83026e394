from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from analytics.lake.compaction import Measures
from analytics.lake.contents import contents
from analytics.lake.directory import Directory
from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.manifest import read_manifest
from analytics.lake.verify import verify
from analytics.record import Record
from analytics.warehouse.database import Warehouse
from tests.fakes.handmade_lake import AT_US, LATER_US, HandmadeLake, compact, record

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    return HandmadeLake(tmp_path / "lake")


def listed(lake: Path, pattern: str) -> list[str]:
    return sorted(str(path.relative_to(lake)) for path in lake.glob(pattern))


def plain(lake: Path, dataset: str = "requests", key: str = "request_id") -> list[UUID]:
    """Return the ids that anybody sees who reads the days' files as they lie there."""
    if not listed(lake, f"{dataset}/*/*.parquet"):
        return []
    return [row[0] for row in duckdb.execute(f"SELECT {key} FROM '{lake}/{dataset}/*/*.parquet' ORDER BY 1").fetchall()]


def seen(lake: Path, what: str = "request_id", view: str = "requests") -> list[Any]:
    """Return what the warehouse sees."""
    warehouse = Warehouse(Directory(lake))
    try:
        with warehouse.connection([view]) as connection:
            return [row[0] for row in connection.execute(f"SELECT {what} FROM {view} ORDER BY 1").fetchall()]
    finally:
        warehouse.close()


def summed_plainly(lake: Path) -> int:
    """Return how many requests are summed in all rollups that lie there."""
    [(requests,)] = duckdb.execute(f"SELECT sum(requests) FROM '{lake}/rollups/*/*.parquet'").fetchall()
    return int(requests)


def ids(*numbers: int) -> list[UUID]:
    return [UUID(record(number).request_id) for number in numbers]


def days_later(number: int, days: int) -> Record:
    return record(number + days * 86_400)


def test_a_day_that_is_over_becomes_one_file_with_each_request_once(lake: HandmadeLake) -> None:
    lake.put([record(1), record(2)])
    lake.put([record(2), record(3), days_later(1, 1)])
    done = lake.compact()

    assert (done.rows, done.files, done.replaced) == (4, 2, 2)
    assert listed(lake.root, "requests/*/*") == [
        "requests/date=2026-09-21/000001.parquet",
        "requests/date=2026-09-22/000001.parquet",
    ]
    assert plain(lake.root) == seen(lake.root) == ids(1, 2, 3, 86_401)


def test_feedback_lies_by_the_day_on_which_it_came(lake: HandmadeLake) -> None:
    one = {"feedback_id": UUID(int=1), "received_at": AT_US, "thumb": "up"}
    two = {"feedback_id": UUID(int=2), "received_at": AT_US + DAY_US, "rating": 4}
    lake.put_feedback([one])
    lake.put_feedback([one, two])
    lake.compact()

    assert listed(lake.root, "feedback/*/*") == [
        "feedback/date=2026-09-21/000001.parquet",
        "feedback/date=2026-09-22/000001.parquet",
    ]
    assert plain(lake.root, "feedback", "feedback_id") == [UUID(int=1), UUID(int=2)]
    assert seen(lake.root, "feedback_id", "feedback") == [UUID(int=1), UUID(int=2)]


def test_a_day_that_goes_on_is_merged_and_becomes_a_file_when_it_is_over(lake: HandmadeLake) -> None:
    lake.put([record(1)])
    lake.put([record(2)])
    lake.compact(AT_US + MINUTE_US)

    assert listed(lake.root, "requests/*/*") == []
    assert listed(lake.root, "merged/*.parquet") == ["merged/000001-requests.parquet"]
    assert seen(lake.root) == ids(1, 2)

    lake.compact()
    assert plain(lake.root) == seen(lake.root) == ids(1, 2)


def test_a_day_of_very_many_rows_makes_a_file_before_it_is_over(lake: HandmadeLake) -> None:
    for numbers in ((1, 2), (3,), (4,), (5, 6)):
        lake.put([record(number) for number in numbers])
        lake.put([days_later(numbers[0], 1)])
        lake.compact(AT_US + MINUTE_US, measures=Measures(whole_rows=3))

    assert listed(lake.root, "requests/*/*") == [
        "requests/date=2026-09-21/000003.parquet",
        "requests/date=2026-09-21/000007.parquet",
        "requests/date=2026-09-22/000005.parquet",
    ]
    assert seen(lake.root) == ids(1, 2, 3, 4, 5, 6, 86_401, 86_403, 86_404, 86_405)


def test_merged_files_do_not_pile_up(lake: HandmadeLake) -> None:
    most = 0
    for number in range(1, 9):
        lake.put([record(2 * number)])
        lake.put([record(2 * number + 1)])
        lake.compact(AT_US + MINUTE_US, measures=Measures(most_merged=3))
        most = max(most, len(contents(lake.lake.store)[INCOMING].parts))
    assert most == 3
    assert seen(lake.root) == ids(*range(2, 18))


def test_a_single_file_is_left_until_its_day_is_over(lake: HandmadeLake) -> None:
    lake.put([record(1)])

    assert lake.compact(AT_US + MINUTE_US).files == 0
    assert lake.compact().files == 1
    assert lake.compact().files == 0


def test_rows_lie_by_rollout_and_time(lake: HandmadeLake) -> None:
    lake.put([record(number, rollout="b" if number % 2 else "a") for number in range(9, 0, -1)])
    lake.compact()
    [name] = listed(lake.root, "requests/*/*.parquet")
    rows = duckdb.execute(f"SELECT rollout, started_at FROM '{lake.root / name}'").fetchall()

    assert rows == sorted(rows)
    [(schema,)] = duckdb.execute(
        f"SELECT decode(value) FROM parquet_kv_metadata('{lake.root / name}') WHERE decode(key) = 'turnout_schema'"
    ).fetchall()
    assert schema == "1"


def test_of_loose_rows_the_settled_one_counts_and_a_compacted_one_stands(lake: HandmadeLake) -> None:
    lake.put([record(1, outcome="interrupted"), record(2, outcome="interrupted")])
    lake.put([record(1, outcome="ok")])
    lake.compact()
    lake.put([record(2, outcome="ok"), record(3)])

    assert seen(lake.root, "outcome") == ["interrupted", "ok", "ok"]
    assert seen(lake.root) == ids(1, 2, 3)
    lake.put([days_later(1, 10)])
    lake.compact()
    assert seen(lake.root, "outcome") == ["interrupted", "ok", "ok", "ok"]
    assert seen(lake.root) == ids(1, 2, 3, 10 * 86_400 + 1)


def test_what_comes_late_is_seen_at_once_and_makes_one_file_a_day(lake: HandmadeLake) -> None:
    lake.put([record(1)])
    lake.compact()
    for number in (2, 3):
        lake.put([record(number)])
        lake.put([record(number)])
        lake.compact(LATER_US + number)
        assert seen(lake.root) == ids(*range(1, number + 1))

    assert plain(lake.root) == ids(1)
    lake.compact(LATER_US + DAY_US + 4)
    assert plain(lake.root) == seen(lake.root) == ids(1, 2, 3)
    assert len(listed(lake.root, "requests/*/*.parquet")) == 2


def test_late_feedback_joins_a_compacted_request(lake: HandmadeLake) -> None:
    one = record(1, application="default")
    lake.put([one])
    lake.compact()
    facts = {"application": "default", "request_id": UUID(one.request_id), "received_at": AT_US + 2 * MINUTE_US}
    lake.put_feedback([{"feedback_id": UUID(int=1), **facts, "thumb": "down"}])
    assert seen(lake.root, "positive", "ratings") == [0]
    lake.compact()
    lake.put_feedback([{"feedback_id": UUID(int=2), **facts, "thumb": "up"}])

    assert seen(lake.root, "positive", "ratings") == [1]


def test_what_is_too_much_at_once_is_taken_in_the_order_of_time(lake: HandmadeLake) -> None:
    for day in (2, 0, 1):
        lake.put([days_later(1, day)])
        lake.put([days_later(2, day)])
    lake.compact(AT_US + 9 * DAY_US, measures=Measures(batch_bytes=20_000))

    expected = [f"requests/date=2026-09-2{day}" for day in (1, 2, 3)]
    assert [name.rpartition("/")[0] for name in listed(lake.root, "requests/*/*.parquet")] == expected
    assert seen(lake.root) == plain(lake.root) == ids(*(day * 86_400 + at for day in (0, 1, 2) for at in (1, 2)))
    assert read_manifest(lake.lake.store).number > 2


def test_what_was_replaced_is_removed_when_nobody_reads_it_and_no_shipper_needs_its_name(
    lake: HandmadeLake, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    (journal / "w0-b1-000002.segment").touch()
    lake.put([record(1)])
    lake.put([record(2)])
    lake.compact(journal=journal)
    assert lake.compact(LATER_US + 599_000_000, journal).removed == 0
    assert lake.compact(LATER_US + 601_000_000, journal).removed == 1
    assert listed(lake.root, "incoming/*.parquet") == ["incoming/w0-b1-000002-0-1.parquet"]

    (journal / "w0-b1-000002.segment").unlink()
    assert lake.compact(LATER_US + 602_000_000, journal).removed == 1
    lake.put([record(3)])
    lake.compact(LATER_US + 2 * DAY_US)
    assert read_manifest(lake.lake.store).replaced == {"incoming/w0-b1-000003-0-1.parquet": LATER_US + 2 * DAY_US}
    assert seen(lake.root) == ids(1, 2, 3)


class Watched(Directory):
    """A directory that calls somebody before each change, who may stop it."""

    def __init__(self, root: Path, look: Callable[[], None]) -> None:
        super().__init__(root)
        self._look = look

    def place(self, name: str, fill: Callable[[Path], None]) -> None:
        self._look()
        super().place(name, fill)

    def remove(self, name: str) -> None:
        self._look()
        super().remove(name)


class StoppedError(Exception):
    """The compaction was stopped where a test wanted it."""


def full_lake(root: Path) -> HandmadeLake:
    lake = HandmadeLake(root)
    lake.put([record(1), record(2), days_later(1, 1)])
    lake.put_feedback([{"feedback_id": UUID(int=7), "received_at": AT_US, "thumb": "up"}])
    lake.compact(AT_US + 2 * DAY_US)
    lake.put([record(2), record(3), days_later(2, 1)])
    lake.put([days_later(3, 9)])
    lake.put_feedback([{"feedback_id": UUID(int=8), "received_at": AT_US, "thumb": "up"}])
    return lake


ALL = ids(1, 2, 3, 86_401, 86_402, 9 * 86_400 + 3)
NOW = AT_US + 9 * DAY_US + MINUTE_US


def test_nobody_sees_a_row_twice_or_misses_one_at_any_moment_of_a_compaction(tmp_path: Path) -> None:
    lake = full_lake(tmp_path / "lake")
    looks: list[int] = []
    public: set[UUID] = set()

    def look() -> None:
        assert seen(lake.root) == ALL
        assert seen(lake.root, "feedback_id", "feedback") == [UUID(int=7), UUID(int=8)]
        assert seen(lake.root, "sum(requests)", "hourly") == [len(ALL)]
        found = plain(lake.root)
        assert len(found) == len(set(found))
        assert set(found) >= public
        public.update(found)
        looks.append(len(found))

    store = Watched(lake.root, look)
    compact(store, tmp_path, NOW)
    compact(store, tmp_path, NOW + 700_000_000)
    look()

    assert len(looks) > 10
    assert (looks[0], looks[-1]) == (3, 5)


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_compaction_that_was_stopped_anywhere_is_ended_by_the_next_one(tmp_path: Path, stride: int) -> None:
    full_lake(tmp_path / "before")
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    compact(Directory(tmp_path / "whole"), tmp_path, NOW)
    steps = stride // 2
    while True:
        lake = tmp_path / f"stopped-{steps}"
        shutil.copytree(tmp_path / "before", lake)
        left = iter(range(steps))

        def stop(left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise StoppedError

        try:
            compact(Watched(lake, stop), tmp_path, NOW)
        except StoppedError:
            before = plain(lake)
            assert seen(lake) == ALL
            assert seen(lake, "sum(requests)", "hourly") == [len(ALL)]
            compact(Directory(lake), tmp_path, NOW + 1)
            assert seen(lake, "sum(requests)", "hourly") == [len(ALL)]
            assert summed_plainly(lake) == len(plain(lake))
            assert set(plain(lake)) >= set(before)
            assert plain(lake) == plain(tmp_path / "whole")
            assert (seen(lake), seen(lake, "feedback_id", "feedback")) == (ALL, [UUID(int=7), UUID(int=8)])
        else:
            break
        steps += stride
    assert steps > 6


def test_verification_counts_a_compacted_lake_as_it_counts_any(lake: HandmadeLake, tmp_path: Path) -> None:
    lake.put([record(1), record(2)])
    lake.put([record(3)])
    before = verify(lake.root, tmp_path / "journal")
    lake.compact()
    lake.put([record(4)])
    after = verify(lake.root, tmp_path / "journal")

    assert before.sound
    assert after.sound
    assert (before.records, before.files, after.records, after.files) == (3, 2, 4, 2)
    lake.put([record(2)])
    assert verify(lake.root, tmp_path / "journal").duplicate_request_ids == 1


def test_questions_are_right_while_a_lake_is_compacted(tmp_path: Path) -> None:
    lake = full_lake(tmp_path / "lake")
    stop = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            found = seen(lake.root)
            if found != ALL:
                wrong.append(found)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for number in range(6):
            compact(lake.lake.store, tmp_path, NOW + number * 700_000_000)
            lake.put([record(1), record(3)], worker=f"again-{number}")
            lake.put([record(2)], worker=f"again-{number}")
    finally:
        stop.set()
        asking.join()
    assert wrong == []
    assert FEEDBACK in contents(lake.lake.store)
