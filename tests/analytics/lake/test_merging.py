from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from analytics.lake.directory import Directory
from analytics.lake.layout import INCOMING
from analytics.lake.merging import Merging
from analytics.lake.once import KINDS
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record

REQUESTS = KINDS[INCOMING]
FIRST, SECOND = "incoming/w0-b1-000001-0-1.parquet", "incoming/w0-b1-000002-0-1.parquet"


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    made = HandmadeLake(tmp_path)
    made.put([record(1), record(2)])
    made.put([record(2), record(86_400)])
    return made


@pytest.fixture
def merging(lake: HandmadeLake, tmp_path: Path) -> Iterator[Merging]:
    made = Merging(lake.lake.store, tmp_path)
    yield made
    made.close()


def test_files_tell_how_many_rows_they_have_and_from_which_time_on(merging: Merging) -> None:
    found = merging.extents(REQUESTS, [FIRST, SECOND])

    assert {name: (one.rows, one.first_at - AT_US) for name, one in found.items()} == {
        FIRST: (2, 1_000_000),
        SECOND: (2, 2_000_000),
    }
    assert merging.days(REQUESTS, [FIRST, SECOND]) == {date(2026, 9, 21): 3, date(2026, 9, 22): 1}


def test_a_part_tells_what_is_in_it_and_a_day_without_rows_makes_none(merging: Merging) -> None:
    merging.take(REQUESTS, [FIRST, SECOND], [])
    part = merging.write(REQUESTS, "incoming/part.parquet", date(2026, 9, 21), (), 7)

    assert part is not None
    assert (part.rows, part.day, part.at, part.first_at) == (2, date(2026, 9, 21), 7, AT_US + 1_000_000)
    assert (part.first_id, part.last_id) == (record(1).request_id, record(2).request_id)
    assert merging.write(REQUESTS, "incoming/none.parquet", date(2026, 1, 1), (), 7) is None

    merging.take(REQUESTS, [SECOND], [part])
    rest = merging.write(REQUESTS, "incoming/rest.parquet", None, [date(2026, 9, 21)], 7)
    assert rest is not None
    assert (rest.rows, rest.first_id) == (1, record(86_400).request_id)


def test_rows_of_no_day_are_none_of_ours_and_the_message_says_how_to_find_their_file(
    merging: Merging, lake: HandmadeLake
) -> None:
    duckdb.execute(f"COPY (SELECT 1 AS another) TO '{lake.root / SECOND}' (FORMAT parquet)")

    with pytest.raises(
        OSError, match="rows have no started_at, so they are of no day; `turnout lake verify` names each"
    ):
        merging.days(REQUESTS, [FIRST, SECOND])


def test_what_cannot_be_read_is_an_error_of_the_disk(merging: Merging, lake: HandmadeLake) -> None:
    (lake.root / FIRST).write_bytes(b"no parquet at all")

    with pytest.raises(OSError, match="w0-b1-000001"):
        merging.days(REQUESTS, [FIRST])


class Far(Directory):
    """A directory that passes for a store behind a network."""

    is_far = True


def test_files_of_a_far_store_are_brought_near_for_as_long_as_they_are_taken(
    lake: HandmadeLake, tmp_path: Path
) -> None:
    beside = tmp_path / "beside"
    merging = Merging(Far(lake.root), beside)
    for taken in ([FIRST], [FIRST, SECOND], [SECOND]):
        merging.fetch(taken)
        assert len(list(beside.glob("fetched/*"))) == len(taken)
    assert sum(merging.days(REQUESTS, [SECOND]).values()) == 2
    with pytest.raises(OSError, match=r"none\.parquet is gone"):
        merging.fetch(["incoming/none.parquet"])
    merging.close()

    assert list(beside.glob("*")) == []
