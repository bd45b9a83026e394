from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.once import KINDS
from analytics.lake.parquet import row
from analytics.record import Record
from analytics.warehouse.beside import nameless, put_beside
from tests.fakes.handmade_lake import record

BOOT = ("w0", "b1")


def put(records: Sequence[Record]) -> list[tuple[int, str, str]]:
    with duckdb.connect() as connection:
        assert put_beside(connection, KINDS[INCOMING], [row(one, BOOT) for one in records])
        return connection.execute("SELECT seq, worker, outcome FROM requests_beside ORDER BY seq").fetchall()


def test_rows_become_a_table_with_their_worker_each_id_once_and_the_settled_one():
    records = [record(1, outcome="interrupted"), record(1), record(2)]

    assert put(records) == [(1, "w0", "ok"), (2, "w0", "ok")]


def test_where_no_file_can_be_in_memory_it_is_a_temporary_one():
    with nameless(None) as file:
        file.write(b"rows")
        file.flush()

        assert Path(f"/dev/fd/{file.fileno()}").read_bytes() == b"rows"


def test_of_no_rows_there_is_no_table():
    with duckdb.connect() as connection:
        assert not put_beside(connection, KINDS[FEEDBACK], [])
        assert connection.execute("SHOW TABLES").fetchall() == []


def test_a_row_that_fits_no_column_is_found_and_left_out():
    odd = record(3, bucket=70_000)

    assert put([record(1), record(2), odd, record(4)]) == [(seq, "w0", "ok") for seq in (1, 2, 4)]
    assert put([odd]) == []
