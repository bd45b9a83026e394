from __future__ import annotations

from pathlib import Path

from analytics.warehouse.gate_rows import failed_of
from tests.fakes.gate_rows import gate_row


def test_who_failed_is_found_in_files_of_a_version_that_had_fewer_columns(lake, opening, tmp_path: Path):
    lake.put(
        [gate_row(1, outcome="timeout"), gate_row(2), gate_row(3, outcome="client_error"), gate_row(4, bucket=None)]
    )
    ask, old = opening().connection.execute, tmp_path / "old.parquet"
    [new] = (lake.root / "incoming").glob("*.parquet")
    ask(f"COPY (SELECT * EXCLUDE (error_class, fallback_reason) FROM '{new}') TO '{old}'")
    rows = ask(failed_of(str, [str(old)])).fetchall()

    assert sorted((row[6], *row[-2:]) for row in rows) == [(1, True, False), (3, False, True)]
