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
