"""The tables of `evidence.duckdb`. Owns how the file is opened, and which columns add up.

The law: all of it can be made again from the lake. A file of another version, or one that cannot be read, is removed.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from analytics.evidence import Check
from analytics.lake.store import Store
from analytics.warehouse.views import text_of

FILE = "evidence.duckdb"
"""In the state directory."""
VERSION = 1
"""Of the tables, and of what their rows mean."""

LATENCIES: tuple[Check, ...] = ("p50", "p99", "ttft")
ROW_MEASURES = (
    *("gate_n", "crossed_n", "unclosed_n", "fallback_n", "errors_n", "errors_x"),
    *(f"{check}_{what}" for check in LATENCIES for what in ("n", "x", "y")),
    *("feedback_n", "timed_n", "streamed_n", "first_n", "cost_n", "uncosted_n"),
)
"""What a gate row has or has not."""
SAID_MEASURES = ("satisfaction_n", "satisfaction_x", "satisfaction_e", "feedback_x", "net_x")
"""What a verdict adds; `satisfaction_e`: how many were bad (x >= 0.5)."""
MEASURES = {
    **dict.fromkeys((*ROW_MEASURES, *SAID_MEASURES), "BIGINT"),
    "cost_x": "HUGEINT",
}
"""The columns that add up, by name."""
NEEDED = (
    *("worker", "boot", "seq", "request_id", "response_id", "application", "started_at", "outcome", "rollout"),
    *("generation", "step", "percent", "bucket", "arm_assigned", "arm_served", "reason", "user_hash", "stream"),
    *("error_class", "fallback_reason", "latency_ms", "ttft_ms", "cost_usd", "purpose"),
)
"""The columns of requests that are read."""
NEEDED_OF = f"SELECT {', '.join(NEEDED)} FROM ({{rows}})"  # noqa: S608 - columns of ours
TABLES = ("user", "user_day", "failure", "slot", "mixed", "boot", "rated", "recent")
"""Tables with rows of a step, after `evidence_`."""

_WIDE = "SET threads = 2"
_NARROW = "SET threads = 1"
"""What is asked each minute has few rows: a second thread would cost more than it saves."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "1GB",
    "wal_autocheckpoint": "128MB",
    "max_temp_directory_size": "8GB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
}


class EvidenceError(OSError):
    """The evidence cannot be read or written now; nothing of it is lost, and trying again later may help.

    EvidenceHeldError    another process has it open
    """


class EvidenceHeldError(EvidenceError):
    """Another process has the evidence open: one console decides, and only that one folds."""


def opened(path: Path, store: Store) -> duckdb.DuckDBPyConnection:
    """Open the evidence, made anew where there is none that can be used.

    Raises:
        EvidenceHeldError: another process has it open.
        EvidenceError: the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connected(path)
    if connection is None:
        _remove(path)
        connection = _connected(path)
    if connection is None:
        message = f"{path} cannot be opened; look whether the disk has room and lets it be written"
        raise EvidenceError(message)
    store.attach(connection)
    store.questions.add(connection)
    return connection


def closed(connection: duckdb.DuckDBPyConnection, store: Store) -> None:
    """Let go of the evidence."""
    store.questions.remove(connection)
    connection.close()


@contextmanager
def told(store: Store) -> Generator[None]:
    """Turn what DuckDB raises into an `EvidenceError`."""
    try:
        yield
    except duckdb.Error as error:
        message = f"the evidence of {store.address('')} cannot be gathered: {str(error).splitlines()[0]}"
        raise EvidenceError(message) from error


@contextmanager
def wide(connection: duckdb.DuckDBPyConnection) -> Generator[None]:
    """Let a step be added up whole by more than one thread."""
    connection.execute(_WIDE)
    try:
        yield
    finally:
        connection.execute(_NARROW)


def _connected(path: Path) -> duckdb.DuckDBPyConnection | None:
    """Return a connection to the tables of this version; None where the file has none."""
    is_new = not path.exists()
    try:
        connection = duckdb.connect(str(path), config=_SETTINGS)
    except duckdb.Error as error:
        if "lock" in str(error).lower():
            message = f"{path} is open in another process: one console alone gathers evidence"
            raise EvidenceHeldError(message) from error
        return None
    try:
        if is_new:
            _make(connection)
        found = connection.execute("SELECT version FROM evidence_version").fetchall()
    except duckdb.Error:
        found = []
    if found == [(VERSION,)]:
        return connection
    connection.close()
    return None


@contextmanager
def in_memory(store: Store) -> Generator[duckdb.DuckDBPyConnection]:
    """Yield a connection to such tables that nobody keeps; what is asked on it can be broken off with the store."""
    connection = duckdb.connect(":memory:", config=_SETTINGS)
    store.questions.add(connection)
    try:
        connection.execute(_WIDE)
        _make(connection)
        store.attach(connection)
        yield connection
    finally:
        store.questions.remove(connection)
        connection.close()


def _make(connection: duckdb.DuckDBPyConnection) -> None:
    measures = ", ".join(f"{name} {kind} DEFAULT 0" for name, kind in MEASURES.items())
    connection.execute("BEGIN")
    connection.execute(text_of("evidence").format(measures=measures))
    connection.execute("INSERT INTO evidence_version VALUES (?)", [VERSION])
    connection.execute("COMMIT")


def _remove(path: Path) -> None:
    for one in (path, path.with_name(path.name + ".wal")):
        with suppress(FileNotFoundError):
            one.unlink()
