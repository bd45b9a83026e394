"""What comes into which folder of the lake, seen through the shipper, the only user of batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.feedback import Feedback
from analytics.journal.segment import segments
from analytics.journal.writer import Writer
from analytics.lake.columns import FEEDBACK_COLUMNS
from analytics.lake.shipper import Shipper
from analytics.record import Opened, Record

Open = Callable[[int], Opened]
Close = Callable[[int], Record]
Said = Callable[[int], Feedback]


def feedback(state: Path, columns: str) -> list[Any]:
    files = [str(path) for path in (state / "lake" / "incoming" / "feedback").glob("*.parquet")]
    if not files:
        return []
    with duckdb.connect(":memory:") as connection:
        connection.read_parquet(files).create_view("feedback")
        return connection.execute(f"SELECT {columns} FROM feedback ORDER BY seq").fetchall()


def test_feedback_comes_to_a_folder_of_its_own_beside_the_requests(
    state: Path, shipper: Shipper, ask: Callable[[str], list[Any]], closed: Close, said: Said
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for seq in (1, 2):
        writer.append(said(seq))
        writer.append(closed(seq))
    ticks = [shipper.tick(), shipper.tick()]
    writer.close()
    [path] = (state / "lake" / "incoming" / "feedback").iterdir()
    with duckdb.connect(":memory:") as connection:
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()
        keys = connection.execute(f"SELECT key, value FROM parquet_kv_metadata('{path}')").fetchall()

    assert ticks == [4, 0]
    assert (shipper.counts.records, shipper.counts.feedback) == (2, 2)
    assert ask("SELECT seq FROM records ORDER BY seq") == [(1,), (2,)]
    assert feedback(state, "seq, worker, boot, application, thumb, rating") == [
        (1, "w0", "b1", "shop", "up", None),
        (2, "w0", "b1", "shop", "up", None),
    ]
    assert {name: kind for name, kind, *_ in described} == FEEDBACK_COLUMNS
    assert (b"turnout_schema", b"1") in keys


def test_a_folder_that_lacks_a_segments_rows_gets_them_while_the_other_gets_none_twice(
    state: Path, ask: Callable[[str], list[Any]], closed: Close, said: Said
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for start in (1, 11, 21):
        for seq in range(start, start + 10):
            writer.append(said(seq))
            writer.append(closed(seq))
        shipper = Shipper(state / "journal", state / "lake")
        shipper.tick()
        shipper.close()
        if start == 11:
            for path in (state / "lake" / "incoming" / "feedback").iterdir():
                path.unlink()
    writer.close()

    assert [seq for (seq,) in feedback(state, "seq")] == list(range(1, 31))
    assert [seq for (seq,) in ask("SELECT seq FROM records ORDER BY seq")] == list(range(1, 31))


@pytest.mark.parametrize("at", [1, 4])
def test_feedback_that_fits_no_column_is_set_aside_alone(state: Path, shipper: Shipper, said: Said, at: int) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for seq in range(1, 5):
        strange = Feedback(feedback_id="no uuid", seq=seq, received_at=1, application="shop", rating=3)
        writer.append(said(seq) if seq != at else strange)
    writer.close()
    shipper.tick()

    assert [seq for (seq,) in feedback(state, "seq")] == [seq for seq in range(1, 5) if seq != at]
    assert shipper.counts.unwritable == 1
    [aside] = (state / "journal" / "quarantine").iterdir()
    assert b"no uuid" in aside.read_bytes()


def test_feedback_holds_no_segment_back_and_an_open_request_keeps_it(
    state: Path, shipper: Shipper, opened: Open, said: Said
) -> None:
    writer = Writer(state / "journal", "w0", "b1", segment_bytes=400)
    writer.append(opened(1))
    for seq in range(1, 20):
        writer.append(said(seq))
    shipper.tick()
    kept = len(segments(state / "journal"))
    writer.append(Record(request_id=opened(1).request_id, seq=1, started_at=1, outcome="ok"))
    shipper.tick()
    left = len(segments(state / "journal"))
    writer.close()

    assert (kept > 3, left) == (True, 1)
    assert [seq for (seq,) in feedback(state, "seq")] == list(range(1, 20))
