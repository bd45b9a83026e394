"""Notices on their way, in one SQLite file: what was announced is kept before anybody is told.

The law: one delivery of one notice to one webhook has one id, for ever; a notice that is known is not taken again. Of
moments it knows nothing, so that a clock that moves neither delays nor repeats anything. Several processes may use one
file.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from rollout.notice import Notice

OUTBOX_FILE = "notices.sqlite"
KEPT = 10_000
"""So many of the newest notices are remembered, by which an old one is known when it comes again."""
_BUSY_TIMEOUT_S = 2.0
_SCHEMA = Path(__file__).with_name("outbox.sql")

_log = logging.getLogger("turnout.notify")


class OutboxError(Exception):
    """The file cannot be used now; the message says why."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One notice on its way to one webhook, after so many attempts that failed."""

    id: str
    webhook: str
    notice: Notice
    attempts: int


class Outbox:
    """The outbox of one installation; may be used from any thread. Made by `open_outbox`."""

    def __init__(self, connection: sqlite3.Connection, kept: int = KEPT) -> None:
        self._connection = connection
        self._kept = kept
        self._turn = threading.Lock()

    def keep(self, notice: Notice, webhooks: Sequence[str]) -> bool:
        """Take a notice that these webhooks are to be told; False when it is known already.

        Raises:
            OutboxError: it cannot be kept.
        """
        with self._changing() as connection:
            text = msgspec.json.encode(notice).decode()
            row = (notice.identity, text)
            if not connection.execute("INSERT OR IGNORE INTO notices (identity, notice) VALUES (?, ?)", row).rowcount:
                return False
            connection.executemany(
                "INSERT INTO deliveries (id, identity, webhook) VALUES (?, ?, ?)",
                [(delivery_id(notice, webhook), notice.identity, webhook) for webhook in webhooks],
            )
            oldest = "SELECT coalesce(max(number), 0) - ? FROM notices"
            connection.execute(f"DELETE FROM notices WHERE number <= ({oldest})", (self._kept,))  # noqa: S608 - our own words
            return True

    def waiting(self, webhook: str) -> list[Delivery]:
        """Return what a webhook has still to be told, oldest first; raises `OutboxError`."""
        asked = (
            "SELECT id, webhook, notice, attempts FROM deliveries JOIN notices USING (identity) "
            "WHERE webhook = ? AND NOT is_over ORDER BY number"
        )
        with self._changing() as connection:
            return [_delivery(*row) for row in connection.execute(asked, (webhook,))]

    def webhooks(self) -> dict[str, int]:
        """Return who is still to be told, and of how many notices; raises `OutboxError`."""
        with self._changing() as connection:
            rows = connection.execute("SELECT webhook, count(*) FROM deliveries WHERE NOT is_over GROUP BY webhook")
            return dict(rows.fetchall())

    def end(self, delivery: Delivery) -> None:
        """Note that nothing more is to be done about it; raises `OutboxError`."""
        with self._changing() as connection:
            connection.execute("UPDATE deliveries SET is_over = 1 WHERE id = ?", (delivery.id,))

    def failed(self, delivery: Delivery) -> None:
        """Count an attempt that failed; raises `OutboxError`."""
        with self._changing() as connection:
            connection.execute("UPDATE deliveries SET attempts = attempts + 1 WHERE id = ?", (delivery.id,))

    def remember(self, name: str, text: str) -> None:
        """Keep a text by a name; raises `OutboxError`."""
        with self._changing() as connection:
            connection.execute("INSERT OR REPLACE INTO remembered VALUES (?, ?)", (name, text))

    def remembered(self, name: str) -> str | None:
        """Return the text kept by this name; raises `OutboxError`."""
        with self._changing() as connection:
            row = connection.execute("SELECT text FROM remembered WHERE name = ?", (name,)).fetchone()
            return None if row is None else row[0]

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._connection.close()

    @contextmanager
    def _changing(self) -> Generator[sqlite3.Connection]:
        with self._turn:
            try:
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
            except (sqlite3.Error, msgspec.MsgspecError) as error:
                message = f"the outbox of notices cannot be used: {error}"
                raise OutboxError(message) from error


def delivery_id(notice: Notice, webhook: str) -> str:
    """Return the id by which a receiver knows a delivery that it had before: 32 hex digits."""
    return hashlib.sha256(f"{notice.identity} {webhook}".encode()).hexdigest()[:32]


def open_outbox(state_dir: Path, *, kept: int = KEPT) -> Outbox:
    """Open the state directory's outbox; one that is damaged is put aside, and said.

    Raises:
        OutboxError: it cannot be opened.
    """
    path = state_dir / OUTBOX_FILE
    try:
        return Outbox(_opened(path), kept)
    except sqlite3.OperationalError as error:
        message = f"the outbox {path} cannot be opened: {error}"
        raise OutboxError(message) from error
    except sqlite3.DatabaseError as error:
        aside = path.with_name(f"{path.name}.broken")
        _log.exception("the outbox was damaged and put aside; what it held is told to nobody", extra={"to": str(aside)})
        try:
            path.replace(aside)
            return Outbox(_opened(path), kept)
        except (OSError, sqlite3.Error):
            message = f"the outbox {path} is damaged and cannot be put aside: {error}"
            raise OutboxError(message) from error


def passing_outbox() -> Outbox:
    """Return an outbox that lasts as long as this process: for an installation whose own cannot be opened."""
    return Outbox(_opened(":memory:"))


def _opened(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=32
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA.read_text("utf-8"))
        connection.execute("SELECT count(*) FROM deliveries").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _delivery(delivery: str, webhook: str, text: str, attempts: int) -> Delivery:
    notice = msgspec.json.decode(text, type=Notice)
    return Delivery(id=delivery, webhook=webhook, notice=notice, attempts=attempts)
