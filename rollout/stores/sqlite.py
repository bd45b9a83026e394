"""The ledger in one SQLite file: every change is one transaction with its audit entry and its snapshot, or nothing.

One connection, used by one thread at a time. Before each use the file's inode is compared, since SQLite would go on
writing to a file that was deleted or replaced under it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from rollout.audit import Entry, Head, chained, fault
from rollout.change import Change, State, applied
from rollout.progress import Progress
from rollout.stores import files, rows
from rollout.stores.ledger import LEDGER_FILE, LOCK_FILE, Compile, Edit, LedgerLockedError
from rollout.stores.lock import WriterLock, holder
from rollout.verdict import GateReport

Clock = Callable[[], int]
"""Microseconds since 1970 UTC."""

SNAPSHOTS_KEPT = 5
_BUSY_TIMEOUT_S = 2.0


class SqliteLedger:
    """A `Ledger` on `<state directory>/ledger.sqlite`; made by `open_ledger`."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        identity: files.Identity | None,
        lock: WriterLock | None,
        clock: Clock,
    ) -> None:
        self.path = path
        self._connection = connection
        self._identity = identity
        self._lock = lock
        self._clock = clock
        self._turn = threading.RLock()

    @property
    def read_only(self) -> bool:
        """Tell whether another process is this ledger's only writer."""
        return self._lock is None

    def state(self) -> State:
        """Return the present state."""
        with self._reading() as connection:
            return rows.read_state(connection)

    def sealed(self) -> bytes | None:
        """Return the newest sealed snapshot."""
        with self._reading() as connection:
            return rows.newest_snapshot(connection)

    def entries(self, *, rollout: str | None = None, limit: int | None = None) -> list[Entry]:
        """Return audit entries, newest first."""
        with self._reading() as connection:
            return rows.read_entries(connection, rollout=rollout, limit=limit)

    def verify(self) -> str | None:
        """Check the whole audit chain against its head."""
        with self._reading() as connection:
            return fault(rows.oldest_first(connection), rows.read_head(connection))

    def change(self, edit: Edit, compile_: Compile, *, actor: str, reason: str = "") -> State:
        """Apply an edit, its audit entries and its snapshot in one transaction."""
        with self._writing() as connection:
            at = self._clock()
            state = rows.read_state(connection)
            changes = edit(state, at)
            if not changes:
                return state
            after = _after(state, changes, actor, at)
            rows.write_state(connection, after, changes)
            _append(connection, changes, actor=actor, reason=reason, at=at)
            rows.write_snapshot(connection, after, compile_(after, at), kept=SNAPSHOTS_KEPT)
            return after

    def keep(self, rollout: str, before: Progress, after: Progress, report: GateReport | None = None) -> bool:
        """Replace what a controller counts of a rollout, if it still is as it was seen."""
        with self._writing() as connection:
            held = rows.read_state(connection).rollouts.get(rollout)
            if held is None or held.progress != before:
                return False
            rows.write_held(connection, replace(held, progress=after))
            if report is not None:
                rows.write_report(connection, report)
            return True

    def reports(self, rollout: str, *, limit: int) -> list[GateReport]:
        """Return the kept reports of a rollout's gate, newest first."""
        with self._reading() as connection:
            return rows.read_reports(connection, rollout, limit=limit)

    def baseline(self, rollout: str) -> bytes | None:
        """Return what base of a rollout was like before everybody became a candidate."""
        with self._reading() as connection:
            return rows.read_baseline(connection, rollout)

    def keep_baseline(self, rollout: str, kept: bytes) -> None:
        """Keep what base of a rollout was like."""
        with self._writing() as connection:
            rows.write_baseline(connection, rollout, kept)

    def close(self) -> None:
        """Close the file and release the writer's lock."""
        with self._turn:
            self._connection.close()
            if self._lock is not None:
                self._lock.release()

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with self._turn, files.reported(self.path):
            files.require_same(self.path, self._identity)
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        if self.read_only:
            message = (
                f"{holder(self.path.with_name(LOCK_FILE))} is the writer of ledger {self.path}; this console is "
                "read-only: use the other one, or stop it and restart this one"
            )
            raise LedgerLockedError(message)
        with self._turn, files.reported(self.path):
            files.require_same(self.path, self._identity)
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                files.require_same(self.path, self._identity)
                self._connection.execute("COMMIT")
                self._fold_journal()
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _fold_journal(self) -> None:
        """Leave nothing in the write-ahead log: SQLite would replay it into whatever file takes the ledger's place."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def open_ledger(
    state_dir: Path, *, clock: Clock, create: bool = True, restore_from: State | None = None
) -> SqliteLedger:
    """Open the state directory's ledger; where there is none and `create` is set, make one.

    A new ledger begins at epoch 1, or with the state of `restore_from` (a last good snapshot's, its epoch raised).
    Whoever comes second gets a ledger that is `read_only`.

    Raises:
        LedgerError: missing (and not to be made), locked, damaged, newer, something else, not writable.
    """
    path = state_dir / LEDGER_FILE
    with files.reported(path):
        if create:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = WriterLock.take(state_dir / LOCK_FILE) if state_dir.is_dir() else None
    try:
        if create and lock is not None and files.identity(path) is None:
            _create(path, restore_from, clock())
        identity = files.identity(path)
        connection = files.connect(path, read_only=lock is None, busy_timeout_s=_BUSY_TIMEOUT_S)
        try:
            files.require_whole(connection, path)
            return SqliteLedger(path, connection, identity=identity, lock=lock, clock=clock)
        except BaseException:
            connection.close()
            raise
    except BaseException:
        if lock is not None:
            lock.release()
        raise


def _create(path: Path, restored: State | None, at: int) -> None:
    state = restored or State(epoch=1)
    shown = {"epoch": state.epoch, "rollouts": sorted(state.rollouts), "keys": sorted(state.keys)}
    change = Change(action="create_ledger" if restored is None else "restore_ledger", after=shown)
    reason = "" if restored is None else "the ledger was missing; rebuilt from the last good snapshot, without history"
    with closing(files.create(path)) as connection, files.reported(path):
        connection.execute("BEGIN IMMEDIATE")
        rows.write_first(connection, state)
        _append(connection, [change], actor="turnout", reason=reason, at=at)
        connection.execute("COMMIT")
    files.publish(path)


def _after(state: State, changes: Sequence[Change], actor: str, at: int) -> State:
    for change in changes:
        state = applied(state, change, actor=actor, at=at)
    return replace(state, version=state.version + 1)


def _append(connection: sqlite3.Connection, changes: Sequence[Change], *, actor: str, reason: str, at: int) -> None:
    head = rows.read_head(connection)
    for change in changes:
        entry = chained(
            Entry(
                number=head.count + 1,
                at=at,
                actor=actor,
                action=change.action,
                rollout=change.rollout,
                before=msgspec.to_builtins(change.before),
                after=msgspec.to_builtins(change.after),
                reason=reason,
                previous=head.hash,
            ),
        )
        rows.write_entry(connection, entry)
        head = Head(count=entry.number, hash=entry.hash)
    rows.write_head(connection, head)
