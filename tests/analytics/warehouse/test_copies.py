from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from analytics.freshness import UNKNOWN
from analytics.journal.writer import Writer
from analytics.lake.place import Place
from analytics.warehouse.copies import Copies, CopyRules, NoCopyError
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record

RULES = CopyRules(days=30, max_rows=1_000_000, refresh_s=300)
NOW_US = AT_US + 1000 * 1_000_000


class Clock:
    """Stands until it is moved; counts from `NOW_US`."""

    def __init__(self) -> None:
        self.after_s = 0.0

    def __call__(self) -> int:
        return NOW_US + int(self.after_s * 1_000_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def copies(lake: HandmadeLake, tmp_path: Path, clock: Clock) -> Iterator[Copies]:
    lake.put([record(1, application="sales")])
    made = Copies(tmp_path / "sql", Place(url=str(lake.root)), clock, monotonic=itertools.count(step=60).__next__)
    yield made
    made.close()
    assert not (tmp_path / "sql").exists()


def count(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        [(number,)] = connection.execute("SELECT count(*) FROM requests").fetchall()
        return number


def as_of(path: Path) -> int:
    return path.stat().st_mtime_ns // 1000


def soon(is_so: Callable[[], bool]) -> bool:
    give_up_s = time.monotonic() + 60
    while not is_so() and time.monotonic() < give_up_s:
        time.sleep(0.02)
    return is_so()


def test_a_young_copy_is_used_and_one_that_is_too_old_made_anew(copies: Copies, lake: HandmadeLake, clock: Clock):
    first = copies.fresh(RULES)
    lake.put([record(2)])
    clock.after_s = 149
    young = count(copies.fresh(RULES))
    clock.after_s = 301
    renewed = copies.fresh(RULES)

    assert (young, count(renewed), first == renewed) == (1, 2, True)
    assert as_of(renewed) == clock()
    assert renewed.parent.stat().st_mode & 0o777 == 0o700


def test_a_copy_is_no_older_than_thirty_times_as_long_as_it_took_to_make(
    lake: HandmadeLake, tmp_path: Path, clock: Clock
):
    copies = Copies(tmp_path / "sql", Place(url=str(lake.root)), clock, monotonic=itertools.count().__next__)
    copies.fresh(RULES)
    lake.put([record(2)])
    clock.after_s = 14
    young = count(copies.fresh(RULES))
    clock.after_s = 31

    assert (young, count(copies.fresh(RULES))) == (0, 1)
    copies.close()


def test_a_copy_has_what_is_in_the_journal_alone_and_says_how_fresh_it_is(
    lake: HandmadeLake, tmp_path: Path, clock: Clock
):
    writer = Writer(tmp_path / "journal", "w0", "b1")
    writer.append(record(1))
    copies = Copies(tmp_path / "sql", Place(url=str(lake.root)), clock, journal=tmp_path / "journal")
    path = copies.fresh(RULES)

    assert count(path) == 1
    assert copies.freshness(path, as_of(path)).fresh_to == NOW_US
    for at in (1000, 2000):
        clock.after_s = at
        copies.fresh(RULES)
    assert copies.freshness(path, NOW_US) == copies.freshness(path, 1) == UNKNOWN
    assert copies.freshness(path, NOW_US + 1_000_000_000).fresh_to == NOW_US + 1_000_000_000
    writer.close()
    copies.close()


def test_who_goes_on_asking_does_not_wait_while_the_copy_is_renewed(copies: Copies, clock: Clock):
    path = copies.fresh(RULES)
    clock.after_s = 200
    began_with = as_of(copies.fresh(RULES))

    assert began_with == NOW_US
    assert soon(lambda: as_of(path) == clock())


def test_many_who_ask_at_once_wait_for_one_copy(copies: Copies):
    with ThreadPoolExecutor(4) as threads:
        paths = list(threads.map(lambda _: copies.fresh(RULES), range(4)))

    assert len({(path, path.stat().st_ino) for path in paths}) == 1


def test_each_scope_has_a_copy_of_its_own(copies: Copies):
    everything, sales, legal = (copies.fresh(RULES, scope) for scope in (None, ("sales",), ("legal",)))

    assert [count(path) for path in (everything, sales, legal)] == [1, 1, 0]
    assert len({everything, sales, legal}) == 3


def test_a_lake_that_cannot_be_read_is_said(copies: Copies, lake: HandmadeLake):
    (lake.root / "incoming/w0-b1-000002-0-1.parquet").write_bytes(b"no parquet at all")

    with pytest.raises(NoCopyError, match=r"w0-b1-000002-0-1\.parquet"):
        copies.fresh(RULES)


def test_what_a_former_console_left_is_removed_and_so_is_what_nobody_asks(lake: HandmadeLake, tmp_path: Path):
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/all.duckdb").write_bytes(b"of yesterday")
    copies = Copies(tmp_path / "sql", Place(url=str(lake.root)), Clock(), idle_s=0.5)
    left = (tmp_path / "sql").exists()
    copies.fresh(RULES)

    assert not left
    assert soon(lambda: not (tmp_path / "sql").exists())
    copies.close()


def test_closed_copies_are_not_made_again(lake: HandmadeLake, tmp_path: Path):
    copies = Copies(tmp_path / "sql", Place(url=str(lake.root)), Clock())
    copies.close()

    with pytest.raises(NoCopyError, match="ends"):
        copies.fresh(RULES)
