"""Ask again where a file was exchanged under a question.

A user is erased by writing files anew under their own names. DuckDB, asked for a union by name, reads each footer first
and opens the file a second time later: exchanged in between, it fits its footer no more, and the question ends with an
error. Asked again, it is answered.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import duckdb

_TRIES = 5
_PAUSE_S = 0.3
_QUICK_S = 5.0
"""What fails later than that failed for another reason: a store that is away, for one."""


def executed(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Mapping[str, object] | None = None
) -> duckdb.DuckDBPyConnection:
    """Execute a statement that only reads, a few times if need be, and return what `connection.execute` returns.

    Raises:
        duckdb.Error: it failed each time, took long to, was broken off, or needs too much memory.
    """
    for _ in range(_TRIES - 1):
        began_s = time.monotonic()
        try:
            return connection.execute(statement, dict(parameters or {}))
        except (duckdb.InterruptException, duckdb.OutOfMemoryException):
            raise
        except duckdb.Error as error:
            is_exchange = type(error) is duckdb.Error or isinstance(
                error, duckdb.IOException | duckdb.InvalidInputException
            )
            if not is_exchange or time.monotonic() - began_s > _QUICK_S:
                raise
        time.sleep(_PAUSE_S)
    return connection.execute(statement, dict(parameters or {}))
