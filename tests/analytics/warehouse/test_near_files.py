from __future__ import annotations

from pathlib import Path

import pytest

from analytics.lake.directory import Directory
from analytics.warehouse.evidence import Evidence
from analytics.warehouse.near_files import NearFiles
from tests.fakes.gate_rows import NOW, WINDOW, gate_row


class FarDirectory(Directory):
    """A directory that is as an object store: every call counts, and small files are not asked where they lie."""

    is_far = True

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: list[str] = []

    def read(self, name: str) -> bytes | None:
        self.calls.append(name)
        return super().read(name)

    def address(self, name: str) -> str:
        return f"{super().address(name)}.elsewhere" if name.startswith("incoming") else super().address(name)


def test_each_small_file_of_a_far_store_is_read_by_one_call(lake, tmp_path):
    store = FarDirectory(lake.root)
    evidence = Evidence(tmp_path / "evidence.duckdb", store, clock=lambda: NOW)
    evidence.look(WINDOW)
    lake.put([gate_row(1)])
    lake.put([gate_row(2)])
    evidence.fold()
    found = evidence.look(WINDOW).quality.base_rows
    evidence.close()

    assert found == 2
    assert len([name for name in store.calls if name.endswith(".parquet")]) == 2
    assert not (tmp_path / "evidence-near").exists()


def test_a_file_that_is_gone_is_said(lake, tmp_path):
    near = NearFiles(FarDirectory(lake.root), tmp_path / "near")

    with pytest.raises(OSError, match="is gone"):
        near.bring(["incoming/none.parquet"])


def test_a_near_store_is_asked_where_it_is(lake, tmp_path):
    near = NearFiles(Directory(lake.root), tmp_path / "near")
    near.bring(["incoming/some.parquet"])

    assert near.address("incoming/some.parquet") == str(lake.root / "incoming/some.parquet")


def test_a_file_of_a_far_store_is_brought_once_for_both(lake, tmp_path):
    store = FarDirectory(lake.root)
    evidence = Evidence(tmp_path / "e.duckdb", store, clock=lambda: NOW)
    evidence.look(WINDOW)
    for number in (1, 2):
        lake.put([gate_row(number, outcome="timeout")])
        evidence.keep_up()
    failing = evidence.failing(WINDOW)[0].base
    found = evidence.look(WINDOW).quality.base_rows
    evidence.close()

    assert (failing, found) == (2, 2)
    assert len([name for name in store.calls if name.endswith(".parquet")]) == 2
    assert not (tmp_path / "e-near").exists()
