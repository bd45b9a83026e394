"""Rows that are in no file of the lake yet, as tables beside its files. Owns how they come there: as by the shipper.

The law: what the shipper would set aside, because it fits no column, is left out here as well.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import IO

import duckdb

from analytics.lake.columns import Dataset, rows_statement
from analytics.lake.once import Kind

_NAME = "turnout-unsealed"
_in_memory: Callable[[str], int] | None = getattr(os, "memfd_create", None)
_TABLE = """
CREATE OR REPLACE TEMP TABLE {name}_beside AS
SELECT * FROM {name}_taken
QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {doubles}) = 1
"""


def put_beside(connection: duckdb.DuckDBPyConnection, kind: Kind, rows: Sequence[bytes]) -> bool:
    """Make the table `{name}_beside` of rows as `Unsealed` has them, each id once; False, and none, without rows.

    Raises:
        duckdb.Error: there is not the memory or the time.
    """
    if not rows:
        return False
    columns = ", ".join(f"{name} {what}" for name, what in kind.dataset.columns.items())
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {kind.name}_taken ({columns})")
    _take(connection, kind.dataset, f"{kind.name}_taken", rows)
    connection.execute(_TABLE.format(name=kind.name, key=kind.key, doubles=kind.doubles))
    connection.execute(f"DROP TABLE {kind.name}_taken")
    return True


def _take(connection: duckdb.DuckDBPyConnection, dataset: Dataset, table: str, rows: Sequence[bytes]) -> None:
    """Insert rows; one that fits no column is found by halving, and left out."""
    try:
        with _file(rows) as path:
            connection.execute(f"INSERT INTO {table} {rows_statement(dataset, source=path)}")
    except (duckdb.DataError, duckdb.InvalidInputException):
        if len(rows) > 1:
            half = len(rows) // 2
            _take(connection, dataset, table, rows[:half])
            _take(connection, dataset, table, rows[half:])


@contextmanager
def _file(rows: Sequence[bytes]) -> Generator[str]:
    """Yield the path of a file that nobody else sees and that ends with this process; in memory, where it can be."""
    with nameless() as file:
        file.writelines(rows)
        file.flush()
        yield f"/dev/fd/{file.fileno()}"


def nameless(in_memory: Callable[[str], int] | None = _in_memory) -> IO[bytes]:
    """Return an open file without a name: one that needs no disk, on systems that have such."""
    return tempfile.TemporaryFile() if in_memory is None else os.fdopen(in_memory(_NAME), "wb")
