"""Rows of the ledger's tables, in and out. No transaction begins or ends here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from rollout.audit import Entry, Head, canonical
from rollout.change import Change, Held, State
from rollout.keys import Key
from rollout.verdict import GateReport

REPORTS_KEPT = 500
"""Of each rollout."""
_ENTRY = "number, at, actor, action, rollout, before, after, reason, previous, hash"


def read_state(connection: sqlite3.Connection) -> State:
    """Return the state; a row that is not what we wrote counts as damage.

    Raises:
        sqlite3.DatabaseError: the row is missing or cannot be decoded.
    """
    row = connection.execute("SELECT epoch, version, definitions FROM state").fetchone()
    try:
        epoch, version, definitions = row
        held = [msgspec.json.decode(text, type=Held) for (text,) in connection.execute("SELECT held FROM rollouts")]
        keys = [msgspec.json.decode(text, type=Key) for (text,) in connection.execute("SELECT kept FROM keys")]
    except (TypeError, msgspec.MsgspecError) as error:
        raise sqlite3.DatabaseError from error
    return State(
        epoch=epoch,
        version=version,
        definitions=definitions,
        rollouts={one.flag.rollout: one for one in held},
        keys={key.id: key for key in keys},
    )


def write_first(connection: sqlite3.Connection, state: State) -> None:
    """Fill the tables of a new ledger."""
    connection.execute(
        "INSERT INTO state VALUES (1, ?, ?, ?, ?, ?)",
        (state.epoch, state.version, state.definitions, Head().count, Head().hash),
    )
    for held in state.rollouts.values():
        write_held(connection, held)
    for key in state.keys.values():
        _write_key(connection, key)


def write_state(connection: sqlite3.Connection, state: State, changes: Sequence[Change]) -> None:
    """Write what the changes touched."""
    connection.execute(
        "UPDATE state SET epoch = ?, version = ?, definitions = ?", (state.epoch, state.version, state.definitions)
    )
    for change in changes:
        moved = [change.flag.rollout] if change.flag is not None else []
        for name in state.rollouts if change.epoch is not None else moved:
            write_held(connection, state.rollouts[name])
        if change.key is not None:
            _write_key(connection, state.keys[change.key.id])
        if change.report is not None:
            write_report(connection, change.report)


def write_held(connection: sqlite3.Connection, held: Held) -> None:
    """Write one rollout as it is held."""
    text = msgspec.json.encode(held).decode()
    connection.execute("INSERT OR REPLACE INTO rollouts VALUES (?, ?)", (held.flag.rollout, text))


def read_reports(connection: sqlite3.Connection, rollout: str, *, limit: int) -> list[GateReport]:
    """Return a rollout's reports, newest first; a ledger that no writer of this version has opened has none."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'reports'").fetchone() is None:
        return []
    query = "SELECT report FROM reports WHERE rollout = ? ORDER BY number DESC LIMIT ?"
    try:
        found = connection.execute(query, (rollout, limit))
        return [msgspec.json.decode(text, type=GateReport) for (text,) in found]
    except msgspec.MsgspecError as error:
        raise sqlite3.DatabaseError from error


def write_report(connection: sqlite3.Connection, report: GateReport) -> None:
    """Keep a report and forget all but the newest `REPORTS_KEPT` of its rollout."""
    text = msgspec.json.encode(report).decode()
    connection.execute("INSERT INTO reports (rollout, at, report) VALUES (?, ?, ?)", (report.rollout, report.at, text))
    connection.execute(
        "DELETE FROM reports WHERE rollout = ? AND number NOT IN "
        "(SELECT number FROM reports WHERE rollout = ? ORDER BY number DESC LIMIT ?)",
        (report.rollout, report.rollout, REPORTS_KEPT),
    )


def read_baseline(connection: sqlite3.Connection, rollout: str) -> bytes | None:
    """Return a rollout's frozen base; a ledger that no writer of this version has opened has none."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'baselines'").fetchone() is None:
        return None
    row = connection.execute("SELECT baseline FROM baselines WHERE rollout = ?", (rollout,)).fetchone()
    return None if row is None else row[0]


def write_baseline(connection: sqlite3.Connection, rollout: str, kept: bytes) -> None:
    """Keep a rollout's frozen base in the place of any other."""
    connection.execute("INSERT OR REPLACE INTO baselines VALUES (?, ?)", (rollout, kept))


def newest_snapshot(connection: sqlite3.Connection) -> bytes | None:
    """Return the sealed snapshot with the highest (epoch, version)."""
    row = connection.execute("SELECT sealed FROM snapshots ORDER BY epoch DESC, version DESC LIMIT 1").fetchone()
    return None if row is None else row[0]


def write_snapshot(connection: sqlite3.Connection, state: State, sealed: bytes, *, kept: int) -> None:
    """Keep a sealed snapshot and forget all but the newest `kept`."""
    connection.execute("INSERT INTO snapshots VALUES (?, ?, ?)", (state.epoch, state.version, sealed))
    connection.execute(
        "DELETE FROM snapshots WHERE (epoch, version) NOT IN "
        "(SELECT epoch, version FROM snapshots ORDER BY epoch DESC, version DESC LIMIT ?)",
        (kept,),
    )


def read_head(connection: sqlite3.Connection) -> Head:
    """Return where the audit chain ends."""
    count, digest = connection.execute("SELECT audit_count, audit_head FROM state").fetchone()
    return Head(count=count, hash=digest)


def write_head(connection: sqlite3.Connection, head: Head) -> None:
    """Remember where the audit chain ends."""
    connection.execute("UPDATE state SET audit_count = ?, audit_head = ?", (head.count, head.hash))


def read_entries(connection: sqlite3.Connection, *, rollout: str | None, limit: int | None) -> list[Entry]:
    """Return audit entries, newest first."""
    where, values = ("WHERE rollout = ?", [rollout]) if rollout is not None else ("", [])
    found = connection.execute(
        f"SELECT {_ENTRY} FROM audit {where} ORDER BY number DESC LIMIT ?",  # noqa: S608 - both parts are literals above
        [*values, -1 if limit is None else limit],
    )
    return [_entry(row) for row in found]


def oldest_first(connection: sqlite3.Connection) -> Iterator[Entry]:
    """Yield the whole chain without holding it in memory."""
    yield from map(_entry, connection.execute(f"SELECT {_ENTRY} FROM audit ORDER BY number"))  # noqa: S608 - a literal


def write_entry(connection: sqlite3.Connection, entry: Entry) -> None:
    """Append one audit entry."""
    connection.execute(
        f"INSERT INTO audit ({_ENTRY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a literal
        (
            entry.number,
            entry.at,
            entry.actor,
            entry.action,
            entry.rollout,
            canonical(entry.before).decode(),
            canonical(entry.after).decode(),
            entry.reason,
            entry.previous,
            entry.hash,
        ),
    )


def _entry(row: Sequence[Any]) -> Entry:
    number, at, actor, action, rollout, before, after, reason, previous, digest = row
    return Entry(
        number=number,
        at=at,
        actor=actor,
        action=action,
        rollout=rollout,
        before=_json(before),
        after=_json(after),
        reason=reason,
        previous=previous,
        hash=digest,
    )


def _json(text: Any) -> Any:
    """Decode what we wrote; what somebody else wrote there stays as it is, and breaks the chain."""
    try:
        return msgspec.json.decode(text)
    except (TypeError, msgspec.MsgspecError):
        return text


def _write_key(connection: sqlite3.Connection, key: Key) -> None:
    connection.execute("INSERT OR REPLACE INTO keys VALUES (?, ?)", (key.id, msgspec.json.encode(key).decode()))
