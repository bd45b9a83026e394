from __future__ import annotations

from pathlib import Path
from uuid import UUID

import duckdb

from analytics.lake.contents import contents
from analytics.lake.layout import INCOMING
from analytics.lake.once import KINDS, view_once
from tests.fakes.handmade_lake import HandmadeLake, record


def test_doubles_among_loose_files_and_with_a_compacted_one_are_in_the_view_once(tmp_path: Path) -> None:
    lake = HandmadeLake(tmp_path)
    lake.put([record(1, outcome="timeout"), record(2)])
    lake.compact()
    lake.put([record(1), record(3, outcome="interrupted"), record(4)])
    lake.put([record(3)])
    found = contents(lake.lake.store)[INCOMING]
    with duckdb.connect() as connection:
        view_once(connection, lake.lake.store.address, KINDS[INCOMING], parts=found.parts, loose=sorted(found.loose))
        rows = connection.execute("SELECT request_id, outcome FROM requests ORDER BY 1").fetchall()
        view_once(
            connection, lake.lake.store.address, KINDS[INCOMING], parts=(), loose=sorted(found.loose), known=found.parts
        )
        new = connection.execute("SELECT request_id FROM requests ORDER BY 1").fetchall()

    outcomes = {1: "timeout", 2: "ok", 3: "ok", 4: "ok"}
    assert rows == [(UUID(record(number).request_id), outcome) for number, outcome in outcomes.items()]
    assert new == [(UUID(record(number).request_id),) for number in (3, 4)]


def test_ids_that_are_looked_through_slice_by_slice_give_the_same_rows(tmp_path: Path) -> None:
    lake = HandmadeLake(tmp_path)
    lake.put([record(number, outcome="timeout") for number in range(0, 1_000, 7)])
    lake.compact()
    lake.put([record(number) for number in range(600)])
    lake.put([record(number) for number in range(1_199, 500, -1)])
    found = contents(lake.lake.store)[INCOMING]
    with duckdb.connect() as connection:
        loose, address = sorted(found.loose), lake.lake.store.address
        view_once(connection, address, KINDS[INCOMING], parts=found.parts, loose=loose, at_once=300)
        rows = connection.execute("SELECT request_id, outcome FROM requests ORDER BY 1").fetchall()
        doubled = connection.execute("SELECT request_id, is_known FROM requests_doubled ORDER BY 1").fetchall()

    known = set(range(0, 1_000, 7))
    expected = {number: "timeout" if number in known else "ok" for number in range(1_200)}
    assert rows == [(UUID(record(number).request_id), outcome) for number, outcome in expected.items()]
    twice = sorted(known | set(range(501, 600)))
    assert doubled == [(UUID(record(number).request_id), number in known) for number in twice]
