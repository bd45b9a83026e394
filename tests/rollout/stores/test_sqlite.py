from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from rollout.change import Held, State
from rollout.keys import Key
from rollout.stores.ledger import (
    LEDGER_FILE,
    LOCK_FILE,
    LedgerCorruptError,
    LedgerLockedError,
    LedgerMissingError,
    LedgerNewerError,
    LedgerReplacedError,
    LedgerUnwritableError,
    NotALedgerError,
)
from rollout.stores.sqlite import SNAPSHOTS_KEPT, SqliteLedger, open_ledger
from tests.fakes.ledger import FLAG, ROLLOUT, compiled, moving, ticking, with_rollout

SETTER = """
import sys
from pathlib import Path
from rollout.change import ConflictError
from rollout.stores import files, sqlite
from tests.fakes.ledger import compiled, moving, ticking
class Anyone:
    def release(self): pass
path = Path(sys.argv[1])
connection = files.connect(path, read_only=False, busy_timeout_s=5)
ledger = sqlite.SqliteLedger(path, connection, identity=files.identity(path), lock=Anyone(), clock=ticking())
print("ready", flush=True)
sys.stdin.readline()
try:
    ledger.change(moving(float(sys.argv[2]), 1), compiled, actor="ops " + sys.argv[2])
    print("won")
except ConflictError as error:
    print(error)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a ledger with one rollout, closed."""
    ledger = open_ledger(tmp_path, clock=ticking())
    with_rollout(ledger)
    ledger.close()
    return tmp_path / LEDGER_FILE


def again(path: Path) -> SqliteLedger:
    return open_ledger(path.parent, clock=ticking())


def run_sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_what_was_written_is_there_after_opening_again(path: Path):
    with closing(again(path)) as ledger:
        assert ledger.state().rollouts[ROLLOUT].flag == FLAG
        assert ledger.verify() is None


def test_files_are_for_their_owner_alone(path: Path):
    assert [file.stat().st_mode & 0o077 for file in path.parent.iterdir()] == [0, 0]


def test_every_commit_reaches_the_disk(path: Path):
    with closing(again(path)) as ledger:
        settings = [
            ledger._connection.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: SLF001 - durability shows nowhere else
            for name in ("journal_mode", "synchronous")
        ]

    assert settings == ["wal", 2]


def test_of_two_processes_that_set_the_percent_exactly_one_wins(path: Path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SETTER, path, percent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for percent in ("10", "25")
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = sorted(process.communicate(timeout=30)[0] for process in processes)

    assert answers[1] == "won\n"
    assert "is now at version 2" in answers[0]
    with closing(again(path)) as ledger:
        assert ledger.state().version == 2
        assert ledger.verify() is None


def test_only_the_newest_snapshots_are_kept(path: Path):
    with closing(again(path)) as ledger:
        for number in range(1, 2 * SNAPSHOTS_KEPT):
            ledger.change(moving(float(number), number), compiled, actor="ops")

    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM snapshots").fetchone()
    assert count == SNAPSHOTS_KEPT


def test_a_second_console_is_read_only_until_the_first_is_gone(path: Path):
    with closing(again(path)) as first, closing(again(path)) as second:
        assert (first.read_only, second.read_only) == (False, True)
        assert second.state() == first.state()
        first.change(moving(10.0, 1), compiled, actor="ops")
        assert second.state().version == 2
        with pytest.raises(
            LedgerLockedError, match=r"process \d+ is the writer of ledger .*; this console is read-only"
        ):
            second.change(moving(25.0, 2), compiled, actor="ops")
    with closing(again(path)) as third:
        assert not third.read_only


def test_a_missing_ledger_is_made_or_refused_as_the_caller_wants(tmp_path: Path):
    with pytest.raises(LedgerMissingError, match=r"there is no ledger at .*; start Turnout once"):
        open_ledger(tmp_path, clock=ticking(), create=False)
    with pytest.raises(LedgerMissingError):
        open_ledger(tmp_path / "nowhere", clock=ticking(), create=False)
    with closing(open_ledger(tmp_path / "new" / "deep", clock=ticking())) as ledger:
        assert ledger.state().epoch == 1
        assert [entry.action for entry in ledger.entries()] == ["create_ledger"]


def test_a_ledger_rebuilt_from_a_last_good_state_says_so(tmp_path: Path):
    key = Key(id="k", role="admin", fingerprint="f" * 64)
    restored = State(epoch=4, rollouts={ROLLOUT: Held(flag=FLAG)}, keys={"k": key})

    with closing(open_ledger(tmp_path, clock=ticking(), restore_from=restored)) as ledger:
        assert ledger.state() == restored
        (entry,) = ledger.entries()
        assert entry.action == "restore_ledger"
        assert entry.reason == "the ledger was missing; rebuilt from the last good snapshot, without history"
        assert entry.after == {"epoch": 4, "rollouts": [ROLLOUT], "keys": ["k"]}
        assert ledger.verify() is None


def test_an_existing_ledger_is_not_restored_over(path: Path):
    with closing(open_ledger(path.parent, clock=ticking(), restore_from=State(epoch=9))) as ledger:
        assert ledger.state().epoch == 1


def test_a_stale_journal_of_a_deleted_ledger_never_reaches_the_new_one(path: Path):
    wal = path.with_name(LEDGER_FILE + "-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("UPDATE state SET epoch = 77")
        frames = wal.read_bytes()
    path.unlink()
    wal.write_bytes(frames)

    with closing(again(path)) as ledger:
        assert ledger.state() == State(epoch=1)


def test_a_draft_that_a_killed_process_left_is_thrown_away(tmp_path: Path):
    (tmp_path / f"{LEDGER_FILE}.draft").write_bytes(b"half")

    with closing(open_ledger(tmp_path, clock=ticking())) as ledger:
        assert ledger.state() == State(epoch=1)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 20, b"", b"x"])
def test_a_file_that_is_no_ledger_is_refused(path: Path, content: bytes):
    path.write_bytes(content)

    with pytest.raises(NotALedgerError, match="is not a Turnout ledger; move it away and start again"):
        again(path)


def test_another_programs_database_is_refused(path: Path):
    path.unlink()
    run_sql(path, "CREATE TABLE t (a)")

    with pytest.raises(NotALedgerError):
        again(path)


def test_a_ledger_of_a_newer_version_is_refused(path: Path):
    run_sql(path, "PRAGMA user_version = 2")

    with pytest.raises(LedgerNewerError, match="has schema 2, written by a newer Turnout; this one reads 1"):
        again(path)


def test_a_damaged_ledger_is_refused(path: Path):
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)

    with pytest.raises(LedgerCorruptError, match="is damaged; move it away and start again"):
        again(path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE rollouts SET held = '{}'",
        "UPDATE keys SET kept = 'x'",
        "DELETE FROM state",
    ],
)
def test_a_row_that_cannot_be_read_counts_as_damage(path: Path, damage: str):
    run_sql(path, "INSERT INTO keys VALUES ('k', '')", damage)

    with closing(again(path)) as ledger, pytest.raises(LedgerCorruptError):
        ledger.state()


def test_a_locked_ledger_says_so(path: Path):
    with closing(again(path)) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        ledger._connection.execute("PRAGMA busy_timeout = 50")  # noqa: SLF001 - two seconds of waiting prove no more
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerLockedError, match="is locked by another process; close whatever has it open"):
            ledger.change(moving(10.0, 1), compiled, actor="ops")
        other.execute("ROLLBACK")
        assert ledger.change(moving(10.0, 1), compiled, actor="ops").version == 2


def test_a_ledger_deleted_or_replaced_while_open_is_neither_written_nor_read(path: Path):
    with closing(again(path)) as ledger:
        copy = path.with_name("copy")
        path.rename(copy)
        with pytest.raises(LedgerReplacedError, match="was deleted while it was open, so nothing is written to it"):
            ledger.change(moving(10.0, 1), compiled, actor="ops")
        path.write_bytes(copy.read_bytes())
        with pytest.raises(LedgerReplacedError, match="was replaced while it was open"):
            ledger.state()
        path.unlink()
        copy.rename(path)
        assert ledger.change(moving(10.0, 1), compiled, actor="ops").version == 2


def test_a_ledger_replaced_during_a_change_gets_nothing_of_it(path: Path):
    def vanishing(state: State, at: int) -> bytes:
        path.rename(path.with_name("away"))
        return compiled(state, at)

    with closing(again(path)) as ledger:
        with pytest.raises(LedgerReplacedError):
            ledger.change(moving(10.0, 1), vanishing, actor="ops")
        path.with_name("away").rename(path)
        assert ledger.state().version == 1


def test_a_tampered_audit_row_is_found(path: Path):
    run_sql(
        path, "DROP TRIGGER audit_is_never_altered", "UPDATE audit SET after = '{\"percent\": 99}' WHERE number = 2"
    )

    with closing(again(path)) as ledger:
        assert ledger.verify() == (
            "audit entry 2 was altered: its hash does not fit its content and the entry before it"
        )


@pytest.mark.parametrize("content", ["'no json'", "x'ff'", "9e999", "NULL || 'x'"])
def test_an_audit_row_of_any_other_content_is_found(path: Path, content: str):
    run_sql(
        path, "DROP TRIGGER audit_is_never_altered", f"UPDATE audit SET at = coalesce({content}, 'x') WHERE number = 1"
    )

    with closing(again(path)) as ledger:
        assert ledger.verify() is not None


def test_an_audit_row_whose_json_was_broken_is_shown_and_found(path: Path):
    run_sql(path, "DROP TRIGGER audit_is_never_altered", "UPDATE audit SET after = 'broken' WHERE number = 2")

    with closing(again(path)) as ledger:
        assert ledger.entries()[0].after == "broken"
        assert ledger.verify() is not None


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_audit_refuses_to_be_altered_or_deleted(path: Path, statement: str):
    with pytest.raises(sqlite3.IntegrityError, match="audit entries are never"):
        run_sql(path, statement)


def test_an_audit_cut_off_at_its_end_is_found(path: Path):
    run_sql(path, "DROP TRIGGER audit_is_never_deleted", "DELETE FROM audit WHERE number = 2")

    with closing(again(path)) as ledger:
        assert ledger.verify() == "the audit chain ends at entry 1, but 2 were written"


def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "state").write_text("")

    with pytest.raises(LedgerUnwritableError, match="check the state directory"):
        open_ledger(tmp_path / "state", clock=ticking())


def test_the_lock_is_free_again_after_an_opening_that_failed(path: Path):
    content = path.read_bytes()
    path.write_bytes(b"junk")
    with pytest.raises(NotALedgerError):
        again(path)
    path.write_bytes(content)

    with closing(again(path)) as ledger:
        assert not ledger.read_only
    assert path.with_name(LOCK_FILE).exists()


def test_a_closed_ledger_is_a_mistake_of_the_caller_not_damage(path: Path):
    ledger = again(path)
    ledger.close()

    with pytest.raises(sqlite3.ProgrammingError):
        ledger.state()


def test_nothing_waits_in_the_journal_for_a_file_that_takes_the_ledgers_place(path: Path):
    with closing(again(path)) as ledger:
        ledger.change(moving(10.0, 1), compiled, actor="ops")

        assert path.with_name(LEDGER_FILE + "-wal").stat().st_size == 0
