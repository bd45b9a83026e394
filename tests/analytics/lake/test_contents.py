from __future__ import annotations

from pathlib import Path

from analytics.lake.contents import contents
from analytics.lake.directory import Directory
from analytics.lake.layout import FEEDBACK, INCOMING
from tests.fakes.handmade_lake import HandmadeLake, record


class Compacting(Directory):
    """A directory that is compacted as soon as somebody has listed its loose files."""

    def __init__(self, lake: HandmadeLake) -> None:
        super().__init__(lake.root)
        self._lake = lake

    def sizes(self, folder: str) -> dict[str, int]:
        found = super().sizes(folder)
        if folder == INCOMING:
            self._lake.compact()
        return found


def test_nothing_counts_in_a_lake_that_is_not_there(tmp_path: Path) -> None:
    found = contents(Directory(tmp_path))

    assert (found[INCOMING].files, found[FEEDBACK].files) == ({}, {})


def test_a_file_that_is_replaced_while_somebody_looks_counts_no_more(tmp_path: Path) -> None:
    lake = HandmadeLake(tmp_path / "lake")
    lake.put([record(1)])
    found = contents(Compacting(lake))[INCOMING]

    [name] = found.files
    assert name == found.parts[0].name == "requests/date=2026-09-21/000001.parquet"
    assert found.files[name] == (lake.root / name).stat().st_size
    assert (found.parts[0].rows, found.loose) == (1, {})
