from __future__ import annotations

import shutil
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rollout.stores.ledger import LEDGER_FILE, StoreUnavailableError
from rollout.stores.reader import SnapshotReader
from rollout.stores.sqlite import SqliteLedger, open_ledger
from tests.fakes.ledger import compiled, moving, ticking, with_rollout


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(open_ledger(tmp_path, clock=ticking())) as made:
        with_rollout(made)
        yield made


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[SnapshotReader]:
    with closing(SnapshotReader(tmp_path / LEDGER_FILE)) as made:
        yield made


def test_each_snapshot_is_returned_once(ledger: SqliteLedger, reader: SnapshotReader):
    assert reader.poll() == ledger.sealed()
    assert reader.poll() is None

    ledger.change(moving(10.0, 1), compiled, actor="ops")

    assert reader.poll() == ledger.sealed()
    assert reader.poll() is None


def test_a_commit_without_a_new_snapshot_returns_nothing(ledger: SqliteLedger, reader: SnapshotReader):
    reader.poll()
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("CREATE TABLE noise (a)")

    assert reader.poll() is None


def test_before_the_first_snapshot_there_is_nothing(tmp_path: Path, reader: SnapshotReader):
    with closing(open_ledger(tmp_path, clock=ticking())):
        assert reader.poll() is None


def test_a_missing_ledger_is_said_and_taken_up_when_it_comes(tmp_path: Path, reader: SnapshotReader):
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="there is no ledger at"):
            reader.poll()
    with closing(open_ledger(tmp_path, clock=ticking())) as ledger:
        with_rollout(ledger)

        assert reader.poll() == ledger.sealed()


def test_a_deleted_ledger_is_noticed_and_its_return_too(ledger: SqliteLedger, reader: SnapshotReader):
    reader.poll()
    away = ledger.path.with_name("away")
    ledger.path.rename(away)
    with pytest.raises(StoreUnavailableError, match="there is no ledger at"):
        reader.poll()
    away.rename(ledger.path)

    assert reader.poll() is None
    ledger.change(moving(10.0, 1), compiled, actor="ops")
    assert reader.poll() == ledger.sealed()


def test_a_replaced_ledger_is_noticed(tmp_path: Path, ledger: SqliteLedger, reader: SnapshotReader):
    reader.poll()
    with closing(open_ledger(tmp_path / "other", clock=ticking())) as other:
        with_rollout(other)
        other.change(moving(25.0, 1), compiled, actor="ops")
    shutil.copy(other.path, tmp_path / "copy")
    (tmp_path / "copy").replace(ledger.path)

    sealed = reader.poll()

    assert sealed is not None
    assert b"25.0" in sealed


def test_a_corrupt_ledger_is_said_and_the_repaired_one_taken_up(tmp_path: Path, reader: SnapshotReader):
    path = tmp_path / LEDGER_FILE
    with closing(open_ledger(tmp_path, clock=ticking())) as ledger:
        with_rollout(ledger)
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xa5" * (len(content) - 100))
    with pytest.raises(StoreUnavailableError, match=r"is damaged|is not a Turnout ledger"):
        reader.poll()
    path.write_bytes(b"nonsense" * 100)
    with pytest.raises(StoreUnavailableError, match="is not a Turnout ledger"):
        reader.poll()
    path.write_bytes(content)

    assert reader.poll() is not None


def test_a_newer_ledger_is_said(ledger: SqliteLedger, reader: SnapshotReader):
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("PRAGMA user_version = 9")

    with pytest.raises(StoreUnavailableError, match="written by a newer Turnout"):
        reader.poll()


def test_a_ledger_locked_exclusively_is_said_and_recovers(tmp_path: Path, reader: SnapshotReader):
    with closing(open_ledger(tmp_path, clock=ticking())) as ledger:
        with_rollout(ledger)
    with closing(sqlite3.connect(tmp_path / LEDGER_FILE, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailableError, match="is locked by another process"):
            reader.poll()

    assert reader.poll() is not None


def test_a_reader_goes_on_while_a_change_is_being_made(ledger: SqliteLedger, reader: SnapshotReader):
    reader.poll()
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE state SET version = 99")

        assert reader.poll() is None


def test_a_reader_that_was_closed_opens_again_and_repeats_nothing(ledger: SqliteLedger, reader: SnapshotReader):
    reader.poll()
    reader.close()

    assert reader.poll() is None


def test_an_idle_poll_costs_far_less_than_its_interval(ledger: SqliteLedger, reader: SnapshotReader):
    reader.poll()
    costs_s: list[float] = []
    for _ in range(200):
        started = time.perf_counter()
        reader.poll()
        costs_s.append(time.perf_counter() - started)

    assert statistics.median(costs_s) < 0.5
