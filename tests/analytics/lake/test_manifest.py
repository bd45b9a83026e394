from __future__ import annotations

from pathlib import Path

import pytest

from analytics.lake.directory import Directory
from analytics.lake.manifest import Manifest, UnreadableManifestError, read_manifest, write_manifest


class Moving(Directory):
    """A directory in which a file was just removed whenever it is to be read."""

    def read(self, name: str) -> bytes | None:
        (self._root / name).unlink()
        return super().read(name)


def test_a_lake_that_was_never_compacted_has_an_empty_manifest(tmp_path: Path) -> None:
    assert read_manifest(Directory(tmp_path)) == Manifest()


def test_the_highest_number_counts_and_the_last_ones_are_kept(tmp_path: Path) -> None:
    store = Directory(tmp_path)
    for number in (9, 10, 1_000_000, 1_000_001):
        write_manifest(store, Manifest(number=number, replaced={"a": number}))
    (tmp_path / "merged/manifest-old.json").write_text("{}")

    assert read_manifest(store).replaced == {"a": 1_000_001}
    assert len(list((tmp_path / "merged").glob("manifest-*[0-9].json"))) == 3


def test_a_manifest_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged/manifest-000001.json").write_text("[]")

    with pytest.raises(UnreadableManifestError, match=r"manifest-000001\.json"):
        read_manifest(Directory(tmp_path))


def test_one_that_is_removed_while_it_is_read_is_looked_for_anew_but_not_for_ever(tmp_path: Path) -> None:
    store = Moving(tmp_path)
    write_manifest(store, Manifest(number=1))
    assert read_manifest(store) == Manifest()
    for number in range(1, 9):
        (tmp_path / f"merged/manifest-{number:06d}.json").touch()

    with pytest.raises(OSError, match="faster"):
        read_manifest(store)
