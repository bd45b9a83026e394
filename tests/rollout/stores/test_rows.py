from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rollout.audit import Head
from rollout.change import Change, Held, State
from rollout.keys import Key
from rollout.stores import files, rows
from tests.fakes.ledger import FLAG, ROLLOUT
from tests.fakes.plans import said

REPORTS_SQL = Path(rows.__file__).with_name("reports.sql")

KEY = Key(id="k1", role="ops", fingerprint="f" * 64, label="on call")
STATE = State(epoch=2, version=5, definitions="d", rollouts={ROLLOUT: Held(flag=FLAG, retired=True)}, keys={"k1": KEY})


@pytest.fixture
def connection(tmp_path: Path) -> Iterator:
    with closing(files.create(tmp_path / "ledger")) as made:
        rows.write_first(made, STATE)
        yield made


def test_a_state_is_read_as_it_was_written(connection):
    assert rows.read_state(connection) == STATE
    assert rows.read_head(connection) == Head()


def test_only_what_changed_is_written(connection):
    other = State(epoch=2, version=6, definitions="e", rollouts={ROLLOUT: Held(flag=FLAG)}, keys={})

    rows.write_state(connection, other, [Change(action="revive_rollout", flag=FLAG)])

    assert rows.read_state(connection).keys == {"k1": KEY}
    assert rows.read_state(connection).rollouts == other.rollouts
    assert rows.read_state(connection).version == 6


def test_the_newest_snapshot_is_that_of_the_highest_epoch(connection):
    for epoch, version in ((2, 9), (3, 1), (2, 10)):
        state = State(epoch=epoch, version=version)
        rows.write_snapshot(connection, state, f"{epoch}.{version}".encode(), kept=2)

    assert rows.newest_snapshot(connection) == b"3.1"
    assert connection.execute("SELECT count(*) FROM snapshots").fetchone() == (2,)


def test_a_ledger_from_before_there_were_gates_has_no_reports(connection):
    assert rows.read_reports(connection, ROLLOUT, limit=5) == []


def test_only_the_newest_reports_of_a_rollout_are_kept(connection):
    connection.executescript(REPORTS_SQL.read_text())
    rows.write_report(connection, said("pass", rollout="other"))
    for number in range(rows.REPORTS_KEPT + 3):
        rows.write_report(connection, said("collecting", rollout=ROLLOUT, at=number))

    kept = rows.read_reports(connection, ROLLOUT, limit=10_000)
    assert [one.at for one in kept] == list(range(rows.REPORTS_KEPT + 2, 2, -1))
    assert len(rows.read_reports(connection, "other", limit=5)) == 1


def test_a_report_that_cannot_be_read_counts_as_damage(connection):
    connection.executescript(REPORTS_SQL.read_text())
    connection.execute("INSERT INTO reports (rollout, at, report) VALUES (?, 0, '{}')", (ROLLOUT,))

    with pytest.raises(sqlite3.DatabaseError):
        rows.read_reports(connection, ROLLOUT, limit=5)
