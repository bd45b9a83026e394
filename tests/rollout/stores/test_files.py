from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rollout.stores import files
from rollout.stores.ledger import LedgerError, LedgerReplacedError, LedgerUnwritableError


def test_a_path_keeps_its_identity_until_another_file_takes_it(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("one")
    before = files.identity(path)
    path.write_text("two")

    assert files.identity(path) == before
    files.require_same(path, before)
    (tmp_path / "other").write_text("three")
    (tmp_path / "other").replace(path)
    with pytest.raises(LedgerReplacedError):
        files.require_same(path, before)
    assert files.identity(tmp_path / "nothing") is None


def test_a_draft_is_nowhere_until_it_is_published(tmp_path: Path):
    path = tmp_path / "ledger"
    with closing(files.create(path)):
        assert not path.exists()
    files.publish(path)

    with closing(files.connect(path, read_only=True, busy_timeout_s=0)) as connection:
        files.require_whole(connection, path)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM state")


def test_an_error_that_is_not_foreseen_keeps_its_words(tmp_path: Path):
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(LedgerError, match=r"cannot be used \(no such table: absent\)"),
        files.reported(tmp_path),
    ):
        connection.execute("SELECT * FROM absent")


def test_a_full_disk_is_named(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "small", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("PRAGMA max_page_count = 2")
        with pytest.raises(LedgerUnwritableError, match="the disk is full; make room"), files.reported(tmp_path):
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_rights_is_named(tmp_path: Path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(LedgerUnwritableError, match="check the state directory"):
            files.create(tmp_path / "ledger")
    finally:
        tmp_path.chmod(0o700)
