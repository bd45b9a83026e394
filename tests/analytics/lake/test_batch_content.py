"""Content on its way to the lake, and out of it again, seen through the shipper, the only user of batches."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from analytics.content import MAX_BODY_BYTES, Content, expiry
from analytics.journal.segment import segments
from analytics.journal.writer import Writer
from analytics.lake.columns import CONTENT_COLUMNS
from analytics.lake.shipper import Shipper
from analytics.lake.verify import verify
from analytics.record import Record

DAY_US = 86_400_000_000
NOW_US = 1_790_000_000_000_000
REQUEST = "0199b0c0-0000-7000-8000-000000000001"
Close = Callable[[int], Record]


def content(seq: int, *, days: int = 1, body: bytes = b"asked", request_id: str = REQUEST) -> Content:
    return Content(
        kind="request",
        seq=seq,
        application="shop",
        captured_at=NOW_US,
        expires_at=expiry(NOW_US, days),
        body=body,
        size_bytes=len(body),
        request_id=request_id,
        user_hash=bytes(range(16)),
    )


def rows(state: Path, columns: str) -> list[Any]:
    files = [str(path) for path in (state / "lake" / "content").glob("*/*.parquet")]
    if not files:
        return []
    with duckdb.connect(":memory:") as connection:
        connection.read_parquet(files).create_view("content")
        return connection.execute(f"SELECT {columns} FROM content ORDER BY seq").fetchall()


def day_after(days: int) -> str:
    return datetime.fromtimestamp((NOW_US + days * DAY_US) / 1e6, UTC).date().isoformat()


def test_content_comes_to_folders_by_the_day_on_which_it_goes(state: Path, shipper: Shipper, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    assert writer.append_content(content(1, days=1, body=bytes(range(256))))
    assert writer.append_content(content(2, days=30))
    writer.append(closed(1))
    assert writer.append_content(content(3, days=1))
    ticks = [shipper.tick(), shipper.tick()]
    writer.close()
    folders = {path.name for path in (state / "lake" / "content").iterdir()}
    one = next((state / "lake" / "content").glob("*/*.parquet"))
    with duckdb.connect(":memory:") as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{one}', hive_partitioning = false)")
        kinds = {name: kind for name, kind, *_ in described.fetchall()}

    assert ticks == [4, 0]
    assert folders == {f"expires={day_after(1)}", f"expires={day_after(30)}"}
    assert rows(state, "seq, body, user_hash")[0] == (1, bytes(range(256)), bytes(range(16)))
    assert [seq for (seq,) in rows(state, "seq")] == [1, 2, 3]
    assert stat.S_IMODE((state / "lake" / "content").stat().st_mode) == 0o700
    assert kinds == CONTENT_COLUMNS
    assert (shipper.counts.records, shipper.counts.content) == (1, 3)
    assert verify(state / "lake", state / "journal").sound


def test_content_comes_once_however_often_the_shipper_is_made_anew(state: Path, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1", segment_bytes=3000)
    for seq in range(1, 61):
        writer.append_content(content(seq, days=seq % 3 + 1))
        writer.append(closed(seq))
        if seq % 7 == 0:
            shipper = Shipper(state / "journal", state / "lake", lambda: NOW_US)
            shipper.tick()
            shipper.close()
    writer.close()
    shipper = Shipper(state / "journal", state / "lake", lambda: NOW_US)
    shipper.tick()
    shipper.close()

    assert [seq for (seq,) in rows(state, "seq")] == list(range(1, 61))
    assert segments(state / "journal") == []


def test_long_bodies_are_written_in_files_that_fit_into_memory(state: Path, shipper: Shipper) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for seq in range(1, 41):
        assert writer.append_content(content(seq, body=bytes(MAX_BODY_BYTES)))
    writer.close()
    shipper.tick()

    assert rows(state, "count(*), sum(octet_length(body)), min(seq) AS seq") == [(40, 40 * MAX_BODY_BYTES, 1)]
    assert len(list((state / "lake" / "content").glob("*/*.parquet"))) > 1


def test_content_is_removed_when_its_last_day_is_over_and_never_comes_back(state: Path, closed: Close) -> None:
    now = [NOW_US]
    shipper = Shipper(state / "journal", state / "lake", lambda: now[0])
    writer = Writer(state / "journal", "w0", "b1")
    writer.append_content(content(1, days=1))
    writer.append_content(content(2, days=3))
    shipper.tick()
    now[0] += DAY_US
    shipper.tick()
    on_its_last_day = [seq for (seq,) in rows(state, "seq")]
    now[0] += DAY_US
    shipper.tick()
    the_day_after = [seq for (seq,) in rows(state, "seq")]
    shipper.close()
    again = Shipper(state / "journal", state / "lake", lambda: now[0])
    again.tick()
    again.close()
    writer.close()

    assert (on_its_last_day, the_day_after) == ([1, 2], [2])
    assert [seq for (seq,) in rows(state, "seq")] == [2]
    assert shipper.counts.expired == 1


def test_content_that_fits_no_column_is_dropped_and_lies_nowhere(state: Path, shipper: Shipper) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append_content(content(1, body=b"canary", request_id="no uuid"))
    writer.append_content(content(2))
    writer.close()
    shipper.tick()

    assert [seq for (seq,) in rows(state, "seq")] == [2]
    assert shipper.counts.unwritable == 1
    assert segments(state / "journal") == []
    assert not [path for path in state.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_a_folder_that_is_none_of_ours_is_left_alone(state: Path, shipper: Shipper) -> None:
    strange = state / "lake" / "content" / "expires=never"
    strange.mkdir(parents=True)
    shipper.tick()

    assert strange.is_dir()
