"""How a worker reads snapshots from the ledger's file: cheaply, noticing changed, deleted and replaced files.

`PRAGMA data_version` tells of commits by other connections; the inode tells of another file at the same path, which
SQLite would never notice. After any failure the file is closed, and the next call opens it anew.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from rollout.stores import files, rows
from rollout.stores.ledger import LedgerError, StoreUnavailableError

_BUSY_TIMEOUT_S = 0.1


class SnapshotReader:
    """A `SnapshotSource` on the ledger's file, opened read-only by the thread that polls."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: files.Identity | None = None
        self._seen: int | None = None
        self._returned: bytes | None = None

    def poll(self) -> bytes | None:
        """Return the newest sealed snapshot when it is another than the last returned (µs when nothing changed)."""
        try:
            with files.reported(self._path):
                sealed = self._changed()
        except LedgerError as error:
            self.close()
            raise StoreUnavailableError(str(error)) from error
        except BaseException:
            self.close()
            raise
        if sealed is None or sealed == self._returned:
            return None
        self._returned = sealed
        return sealed

    def close(self) -> None:
        """Close the file; a later `poll` opens it again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._identity = self._seen = None

    def _changed(self) -> bytes | None:
        connection = self._opened()
        (data_version,) = connection.execute("PRAGMA data_version").fetchone()
        if data_version == self._seen:
            return None
        sealed = rows.newest_snapshot(connection)
        self._seen = data_version
        return sealed

    def _opened(self) -> sqlite3.Connection:
        present = files.identity(self._path)
        if self._connection is None or present is None or present != self._identity:
            self.close()
            self._connection = files.connect(self._path, read_only=True, busy_timeout_s=_BUSY_TIMEOUT_S)
            self._identity = present
        return self._connection
