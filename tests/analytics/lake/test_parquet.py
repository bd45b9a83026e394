from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.lake.columns import COLUMNS
from analytics.lake.directory import Directory
from analytics.lake.parquet import ParquetWriter, UnwritableRowError, row
from analytics.record import SCHEMA, Attempt, Record

PLAIN = Record(request_id="0199b0c0-0000-7000-8000-000000000001", seq=1, started_at=0, outcome="ok")
FULL = Record(
    request_id="0199b0c0-1111-7222-8333-444444444444",
    seq=2,
    started_at=1_790_000_000_123_456,
    outcome="upstream_error",
    response_id="chatcmpl-\u00e4\U0001f600\n\"'\\\x00",
    percent=33.33,
    bucket=9999,
    user_hash=bytes(range(16)),
    stream=True,
    status=503,
    attempts=[
        Attempt(arm="candidate", model="m", upstream="u", status=None, error_class="connect", upstream_ms=1.5),
        Attempt(arm="base", model="n", upstream="u", status=200, error_class=None, upstream_ms=2.5, cost_usd=0.25),
    ],
    latency_ms=0.1 + 0.2,
    input_tokens=2**31 - 1,
    cost_usd=1e-9,
    tags={"team": "west", "it's": ""},
)


@pytest.fixture
def parquet(tmp_path: Path) -> Iterator[ParquetWriter]:
    writer = ParquetWriter(tmp_path / "scratch.ndjson", Directory(tmp_path))
    yield writer
    writer.close()


def read(path: Path, columns: str = "*") -> list[dict[str, Any]]:
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(f"SELECT {columns} FROM read_parquet('{path}') ORDER BY seq")
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


def test_a_record_comes_back_with_every_value_as_it_was(tmp_path: Path, parquet: ParquetWriter) -> None:
    parquet.write("a.parquet", ("it's", "b1"), [row(FULL)])
    [found] = read(tmp_path / "a.parquet")

    assert found["request_id"] == uuid.UUID(FULL.request_id)
    assert found["started_at"] == datetime(2026, 9, 21, 14, 13, 20, 123456)  # noqa: DTZ001 - the column is UTC without a zone
    assert (found["worker"], found["boot"], found["seq"]) == ("it's", "b1", 2)
    assert (found["percent"], found["bucket"], found["user_hash"]) == (Decimal("33.33"), 9999, bytes(range(16)))
    assert (found["latency_ms"], found["cost_usd"]) == (0.1 + 0.2, 1e-9)
    assert (found["response_id"], found["tags"]) == (FULL.response_id, FULL.tags)
    assert found["attempts"][0]["error_class"] == "connect"
    assert found["attempts"][1]["cost_usd"] == 0.25
    assert (found["input_tokens"], found["stream"], found["status"]) == (2**31 - 1, True, 503)


def test_what_is_not_known_is_null(tmp_path: Path, parquet: ParquetWriter) -> None:
    parquet.write("a.parquet", ("w0", "b1"), [row(PLAIN)])
    [found] = read(tmp_path / "a.parquet")
    known = {"worker", "boot", "request_id", "seq", "started_at", "outcome", "stream", "attempts", "purpose", "tags"}

    assert {name for name, value in found.items() if value is not None} == known
    assert (found["attempts"], found["tags"]) == ([], {})


def test_the_file_has_the_documented_types_and_says_its_schema(tmp_path: Path, parquet: ParquetWriter) -> None:
    parquet.write("a.parquet", ("w0", "b1"), [row(PLAIN), row(FULL)])
    with duckdb.connect(":memory:") as connection:
        path = tmp_path / "a.parquet"
        described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()
        keys = connection.execute(f"SELECT key, value FROM parquet_kv_metadata('{path}')").fetchall()

    assert {name: kind for name, kind, *_ in described} == COLUMNS
    assert (b"turnout_schema", str(SCHEMA).encode()) in keys


@pytest.mark.parametrize("count", [2**31, 2**63, 2**64 - 1, -(2**31) - 1])
def test_a_token_count_that_no_column_holds_becomes_null_and_does_not_cost_the_record(
    tmp_path: Path, parquet: ParquetWriter, count: int
) -> None:
    wild = Record(request_id=PLAIN.request_id, seq=1, started_at=0, outcome="ok", output_tokens=count, input_tokens=3)
    parquet.write("a.parquet", ("w0", "b1"), [row(wild)])

    assert read(tmp_path / "a.parquet", "output_tokens, input_tokens") == [{"output_tokens": None, "input_tokens": 3}]


def test_a_number_that_is_none_is_null(tmp_path: Path, parquet: ParquetWriter) -> None:
    odd = Record(request_id=PLAIN.request_id, seq=1, started_at=0, outcome="ok", latency_ms=math.nan)
    parquet.write("a.parquet", ("w0", "b1"), [row(odd)])

    assert read(tmp_path / "a.parquet", "latency_ms") == [{"latency_ms": None}]


@pytest.mark.parametrize(
    "strange",
    [
        Record(request_id="no uuid", seq=1, started_at=0, outcome="ok"),
        Record(request_id=PLAIN.request_id, seq=1, started_at=0, outcome="ok", percent=1000.0),
        Record(request_id=PLAIN.request_id, seq=1, started_at=0, outcome="ok", bucket=40_000),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_refused_and_leaves_no_file(
    tmp_path: Path, parquet: ParquetWriter, strange: Record
) -> None:
    with pytest.raises(UnwritableRowError, match="does not fit"):
        parquet.write("a.parquet", ("w0", "b1"), [row(PLAIN), row(strange)])

    assert list(tmp_path.glob("a.*")) == []


def test_a_directory_that_is_gone_is_the_disks_fault(tmp_path: Path, parquet: ParquetWriter) -> None:
    with pytest.raises(OSError, match="nowhere"):
        parquet.write("nowhere/a.parquet", ("w0", "b1"), [row(PLAIN)])


def test_sequence_numbers_are_read_back_from_files(tmp_path: Path, parquet: ParquetWriter) -> None:
    parquet.write("a.parquet", ("w0", "b1"), [row(PLAIN)])
    parquet.write("b.parquet", ("w0", "b1"), [row(FULL)])

    assert parquet.seqs(["a.parquet", "b.parquet"]) == {1, 2}
    assert parquet.seqs([]) == set()
