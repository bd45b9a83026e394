"""The ledger's file: making it whole or not at all, opening it, and saying what is wrong with it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NoReturn

from rollout.stores.ledger import (
    LedgerCorruptError,
    LedgerError,
    LedgerLockedError,
    LedgerMissingError,
    LedgerNewerError,
    LedgerReplacedError,
    LedgerUnwritableError,
    NotALedgerError,
)

SCHEMA = 1
APPLICATION_ID: Final = 0x5475726E
"""`Turn` in ASCII, at byte 68 of the file (SQLite's application_id)."""

_SCHEMA_SQL = Path(__file__).with_name("ledger.sql")
_REPORTS_SQL = Path(__file__).with_name("reports.sql")
_REBUILD = "move it away and start again: flags and keys are rebuilt from the last good snapshot"
_PRIMARY = 0xFF
_ERRORS: dict[int, tuple[type[LedgerError], str]] = {
    sqlite3.SQLITE_BUSY: (LedgerLockedError, "is locked by another process; close whatever has it open, then repeat"),
    sqlite3.SQLITE_LOCKED: (LedgerLockedError, "is locked by another process; close whatever has it open, then repeat"),
    sqlite3.SQLITE_CORRUPT: (LedgerCorruptError, f"is damaged; {_REBUILD}"),
    sqlite3.SQLITE_NOTADB: (NotALedgerError, f"is not a Turnout ledger; {_REBUILD}"),
    sqlite3.SQLITE_FULL: (LedgerUnwritableError, "cannot be written: the disk is full; make room, then repeat"),
    sqlite3.SQLITE_READONLY: (LedgerUnwritableError, "cannot be written: it is read-only; check its owner and mode"),
    sqlite3.SQLITE_CANTOPEN: (LedgerUnwritableError, "cannot be opened; check the owner and mode of it and its folder"),
    sqlite3.SQLITE_IOERR: (LedgerUnwritableError, "cannot be read or written: the device reports an error"),
}

Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """Return device and inode, or None when nothing is there: the same path may come to name another file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called ten times a second by every worker; half of Path.stat's cost
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def require_same(path: Path, opened: Identity | None) -> None:
    """Refuse to go on with a file that is no longer the one at its path.

    Raises:
        LedgerReplacedError: it was deleted or replaced.
    """
    present = identity(path)
    if present is None or present != opened:
        became = "deleted" if present is None else "replaced"
        message = (
            f"ledger {path} was {became} while it was open, so nothing is written to it; restart Turnout: it takes up "
            "the file that is there, or rebuilds flags and keys from the last good snapshot"
        )
        raise LedgerReplacedError(message)


def create(path: Path) -> sqlite3.Connection:
    """Begin a new ledger in a draft beside `path`; `publish` puts it in its place."""
    draft = _draft(path)
    for stale in (draft, _beside(draft, "-journal"), _beside(path, "-wal"), _beside(path, "-shm")):
        stale.unlink(missing_ok=True)
    with reported(path):
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(draft, isolation_level=None)
        connection.executescript(_SCHEMA_SQL.read_text(encoding="utf-8"))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        return connection


def publish(path: Path) -> None:
    """Put the finished draft in its place, durably."""
    with reported(path):
        _draft(path).rename(path)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def connect(path: Path, *, read_only: bool, busy_timeout_s: float) -> sqlite3.Connection:
    """Open an existing ledger after checking that it is one and that this version can read it.

    Raises:
        LedgerError: missing, locked, damaged, newer, or something else.
    """
    if identity(path) is None:
        message = f"there is no ledger at {path}; start Turnout once with this state directory, or name another"
        raise LedgerMissingError(message)
    with reported(path), contextlib.ExitStack() as stack:
        address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
        connection = sqlite3.connect(
            address, uri=True, isolation_level=None, timeout=busy_timeout_s, check_same_thread=False
        )
        stack.enter_context(closing(connection))
        _check(connection, path)
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_REPORTS_SQL.read_text(encoding="utf-8"))
        stack.pop_all()
        return connection


def require_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Read every page once.

    Raises:
        LedgerCorruptError: SQLite finds the file damaged.
    """
    with reported(path):
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            _raise(path, sqlite3.SQLITE_CORRUPT)


@contextmanager
def reported(path: Path) -> Generator[None]:
    """Turn SQLite's and the operating system's errors into the ledger's."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        _raise(path, getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT), error)
    except OSError as error:
        message = f"ledger {path} cannot be written: {error.strerror}; check the state directory"
        raise LedgerUnwritableError(message) from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        _raise(path, sqlite3.SQLITE_NOTADB)
    if schema > SCHEMA:
        message = (
            f"ledger {path} has schema {schema}, written by a newer Turnout; this one reads {SCHEMA}: "
            "install the newer version again"
        )
        raise LedgerNewerError(message)


def _raise(path: Path, code: int, cause: Exception | None = None) -> NoReturn:
    kind, sentence = _ERRORS.get(code & _PRIMARY, (LedgerError, "cannot be used"))
    message = f"ledger {path} {sentence}"
    if kind is LedgerError:
        message += f" ({cause})"
    raise kind(message) from cause


def _draft(path: Path) -> Path:
    return _beside(path, ".draft")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
