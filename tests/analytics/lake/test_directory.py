"""What the store's contract leaves to a directory: see also tests/contracts/test_store.py."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from analytics.lake.directory import Directory


def test_a_private_folder_is_its_owners_alone(tmp_path: Path) -> None:
    Directory(tmp_path).prepare("content/expires=2026-01-01", private=True)

    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("content", "content/expires=2026-01-01")]
    assert modes == [0o700, 0o700]


def test_a_folder_that_is_gone_is_an_error_and_never_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Directory(tmp_path).names("incoming")


def test_a_directory_is_called_by_its_path(tmp_path: Path) -> None:
    assert str(Directory(tmp_path)) == str(tmp_path)
