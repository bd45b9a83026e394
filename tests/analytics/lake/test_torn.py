from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from analytics.lake.directory import Directory
from analytics.lake.layout import INCOMING
from analytics.lake.store import StoreAwayError
from analytics.lake.torn import readable, torn_files
from tests.fakes.handmade_lake import HandmadeLake, record

COLUMNS = {INCOMING: "request_id"}
SOUND, GONE, CUT = "incoming/w0-b1-000001-0-1.parquet", "incoming/gone.parquet", "incoming/cut.parquet"


class Far(Directory):
    """A directory that passes for a store behind a network."""

    is_far = True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = HandmadeLake(tmp_path)
    made.put([record(1)])
    (made.root / CUT).write_bytes(b"PAR1 and no more")
    return made.root


def test_files_that_are_cut_or_gone_are_named_with_the_reason(root: Path) -> None:
    found = torn_files(Directory(root), {INCOMING: [SOUND, CUT, GONE]}, COLUMNS)

    assert list(found) == [CUT, GONE]
    assert "cut.parquet" in found[CUT]
    assert "No files found" in found[GONE]


def test_a_far_store_that_does_not_answer_makes_no_file_a_torn_one(root: Path) -> None:
    assert list(torn_files(Far(root), {INCOMING: [SOUND, CUT]}, COLUMNS)) == [CUT]
    with pytest.raises(StoreAwayError, match=r"cannot read .*gone\.parquet"), readable(Far(root)):
        torn_files(Far(root), {INCOMING: [SOUND, GONE]}, COLUMNS)


def test_what_cannot_be_read_of_a_near_lake_is_an_error_of_the_disk(root: Path) -> None:
    with pytest.raises(OSError, match="cannot read") as told, readable(Directory(root)):
        raise duckdb.IOException

    assert not isinstance(told.value, StoreAwayError)
