from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from rollout.stores.copy import copy_ledger, read_facts
from rollout.stores.ledger import LEDGER_FILE, LedgerCorruptError, LedgerMissingError, LedgerUnwritableError
from rollout.stores.sqlite import open_ledger
from tests.fakes.ledger import ROLLOUT, compiled, moving, ticking, with_rollout


def test_a_copy_says_what_the_ledger_said_and_is_one_private_file(tmp_path: Path):
    with closing(open_ledger(tmp_path, clock=ticking())) as ledger:
        with_rollout(ledger)
        ledger.change(moving(25.0, 1), compiled, actor="test")
        copy_ledger(tmp_path / LEDGER_FILE, tmp_path / "copy")
        state, entries, sealed = ledger.state(), ledger.entries(), ledger.sealed()

    facts = read_facts(tmp_path / "copy")
    assert (facts.state, facts.sealed, facts.fault) == (state, sealed, None)
    assert (facts.head.count, facts.head.hash) == (entries[0].number, entries[0].hash)
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("copy-*"))


def test_a_copy_made_while_changes_are_made_is_of_one_moment(tmp_path: Path):
    with closing(open_ledger(tmp_path, clock=ticking())) as ledger:
        with_rollout(ledger)
        over = threading.Event()

        def change() -> None:
            while not over.is_set():
                version = ledger.state().rollouts[ROLLOUT].flag.version
                ledger.change(moving(float(version % 100), version), compiled, actor="test")

        changing = threading.Thread(target=change)
        changing.start()
        try:
            for number in range(10):
                copy_ledger(tmp_path / LEDGER_FILE, tmp_path / f"copy-{number}")
        finally:
            over.set()
            changing.join()

    for number in range(10):
        facts = read_facts(tmp_path / f"copy-{number}")
        assert facts.fault is None
        assert facts.sealed is not None
        assert facts.sealed.decode().startswith(f"{facts.state.epoch}.{facts.state.version} ")
        assert facts.state.rollouts[ROLLOUT].flag.version == facts.state.version


def test_a_broken_chain_is_told_and_not_raised(tmp_path: Path):
    with closing(open_ledger(tmp_path, clock=ticking())) as ledger:
        with_rollout(ledger)
    with closing(sqlite3.connect(tmp_path / LEDGER_FILE)) as connection, connection:
        connection.execute("DROP TRIGGER audit_is_never_altered")
        connection.execute("UPDATE audit SET actor = 'nobody' WHERE number = 1")

    assert "audit entry 1 was altered" in (read_facts(tmp_path / LEDGER_FILE).fault or "")


def test_what_is_no_whole_ledger_is_refused(tmp_path: Path):
    with pytest.raises(LedgerMissingError):
        copy_ledger(tmp_path / LEDGER_FILE, tmp_path / "copy")
    with closing(open_ledger(tmp_path, clock=ticking())) as ledger:
        with_rollout(ledger)
        (tmp_path / "copy").write_text("already")
        with pytest.raises(LedgerUnwritableError):
            copy_ledger(tmp_path / LEDGER_FILE, tmp_path / "copy")
    whole = (tmp_path / LEDGER_FILE).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LedgerCorruptError):
        read_facts(tmp_path / "cut")
