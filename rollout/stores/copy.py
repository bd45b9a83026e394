"""A copy of the ledger, made while its writer works, and what a copy is looked at for before anybody believes it.

The law: the original is read, never written. A copy is of one moment, between two changes, and is one plain file.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from rollout.audit import Head, fault
from rollout.change import State
from rollout.stores import files, rows

_BUSY_TIMEOUT_S = 10.0


class LedgerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger says: its `state`, its newest snapshot as it was signed, and where its audit chain ends.

    `fault` is the sentence that says where the chain is broken; None: it is whole.
    """

    state: State
    sealed: bytes | None
    head: Head
    fault: str | None
    schema: int = files.SCHEMA


def copy_ledger(source: Path, target: Path) -> None:
    """Copy a ledger to a file that is not there yet, mode 0600, by SQLite's online backup.

    Raises:
        LedgerError: it is missing, locked for long, damaged, newer or something else; or there is no room.
    """
    with closing(files.connect(source, read_only=True, busy_timeout_s=_BUSY_TIMEOUT_S)) as original:
        with files.reported(target):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(target, isolation_level=None)) as made, files.reported(source):
            original.backup(made)
            # One plain file: who looks at it later leaves nothing beside it.
            made.execute("PRAGMA journal_mode = DELETE").fetchone()


def read_facts(path: Path) -> LedgerFacts:
    """Read a whole ledger, every page of it, and check its audit chain.

    Raises:
        LedgerError: it is missing, damaged, newer or something else.
    """
    with closing(files.connect(path, read_only=True, busy_timeout_s=_BUSY_TIMEOUT_S)) as connection:
        files.require_whole(connection, path)
        with files.reported(path):
            head = rows.read_head(connection)
            return LedgerFacts(
                state=rows.read_state(connection),
                sealed=rows.newest_snapshot(connection),
                head=head,
                fault=fault(rows.oldest_first(connection), head),
            )
