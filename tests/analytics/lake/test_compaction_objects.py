"""A lake in an object store is compacted, whatever becomes of the calls."""

from __future__ import annotations

import itertools
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from analytics.lake.compaction import Compacted, Compaction
from analytics.lake.layout import ROLLUPS
from analytics.lake.needed import ELSEWHERE_S, needed_elsewhere
from analytics.lake.verify import verify
from analytics.warehouse.database import Warehouse
from tests.fakes.handmade_lake import LATER_US, HandmadeLake, record
from tests.fakes.object_server import Bucket, Fate, SpoilingProxy, serving_objects

HOURS_LATER_US = LATER_US + (ELSEWHERE_S + 1) * 1_000_000


@pytest.fixture(scope="session")
def object_port() -> Iterator[int]:
    with serving_objects() as port:
        yield port


@pytest.fixture
def bucket(object_port: int, tmp_path: Path) -> Bucket:
    """Return a bucket with the files of a small lake."""
    made = Bucket(f"t-{uuid.uuid4()}", object_port)
    made.ask("PUT")
    lake = HandmadeLake(tmp_path / "handmade")
    lake.put([record(1), record(2)])
    lake.put([record(2), record(86_400)])
    lake.put([record(3)])
    store = made.store("/lake", tmp_path / "copying")
    store.prepare("incoming")
    for name in lake.lake.files():
        store.place(name, lambda path, name=name: void(shutil.copy(lake.root / name, path)))
    return made


def void(_: object) -> None:
    return


def compact(bucket: Bucket, beside: Path, at_us: int = LATER_US) -> Compacted:
    beside.mkdir(exist_ok=True)
    store = bucket.store("/lake", beside / "outbox", tries=1)
    compaction = Compaction(store, beside, lambda: at_us, needed_elsewhere(lambda: at_us))
    try:
        return compaction.run()
    finally:
        compaction.close()


def seen(bucket: Bucket) -> int:
    warehouse = Warehouse(bucket.store("/lake"))
    try:
        with warehouse.connection() as connection:
            [(rows,)] = connection.execute("SELECT count(*) FROM requests").fetchall()
            return rows
    finally:
        warehouse.close()


def summed(bucket: Bucket) -> list[int]:
    """Return how many requests are in the sums of the warehouse, and in how many rollups."""
    store = bucket.store("/lake")
    warehouse = Warehouse(store)
    try:
        with warehouse.connection(["hourly"]) as connection:
            [(requests,)] = connection.execute("SELECT sum(requests)::BIGINT FROM hourly").fetchall()
    finally:
        warehouse.close()
    files = [name for day in store.folders(ROLLUPS) for name in store.sizes(f"{ROLLUPS}/{day}")]
    return [requests, len(files)]


def plain(bucket: Bucket) -> list[int]:
    """Return how many rows and how many requests anybody finds below `requests/`."""
    with duckdb.connect() as connection:
        bucket.store("/lake").attach(connection)
        pattern = f"s3://{bucket.name}/lake/requests/*/*.parquet"
        return list(connection.execute(f"SELECT count(*), count(DISTINCT request_id) FROM '{pattern}'").fetchall()[0])


@pytest.mark.slow
def test_objects_become_few_and_are_removed_after_hours(bucket: Bucket, tmp_path: Path) -> None:
    assert compact(bucket, tmp_path / "c").files == 2
    assert summed(bucket) == [4, 2]
    assert (seen(bucket), plain(bucket)) == (4, [4, 4])
    assert compact(bucket, tmp_path / "c", HOURS_LATER_US).removed == 3
    found = verify(bucket.store("/lake"), tmp_path / "journal", sleep=lambda _: None)

    assert (found.records, found.files, found.duplicate_request_ids) == (4, 2, 0)


@pytest.mark.slow
def test_calls_that_fail_or_take_effect_late_lose_nothing_and_double_nothing(
    bucket: Bucket, tmp_path: Path, object_port: int
) -> None:
    spoiling: Iterator[Fate] = itertools.cycle(("500", "late", "reset_after"))
    calls = itertools.count()
    failed = 0

    def judge(method: str, _path: str) -> Fate:
        return next(spoiling) if method != "HEAD" and next(calls) % 7 == 6 else "pass"

    with SpoilingProxy(object_port, judge).running() as proxy:
        spoiled = Bucket(bucket.name, proxy.port)
        for at in range(60):
            try:
                compact(spoiled, tmp_path / "c", LATER_US + at)
                break
            except OSError:
                failed += 1
                assert seen(bucket) == 4

    assert failed > 0
    assert compact(bucket, tmp_path / "c", LATER_US + 99).files == 0
    assert (seen(bucket), plain(bucket)) == (4, [4, 4])
    assert summed(bucket) == [4, 2]
