"""The process in which one statement of an analyst runs, and which ends with it: `python -I -m ...sandboxed FD FD`.

It gets the published copy as an open descriptor and one `Order` on its standard input, and writes to its standard
output: one line of JSON (`Head`), the answer, a line end, and one line of JSON (`Tail`). To the other descriptor it
tells how far it is (`progress.py`). It knows no path, no key and
no variable of the environment. `sandbox.py` starts it, counts what it writes, and kills it.

DuckDB is told to open nothing either, but that is the second wall: the first are those of `walls.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import BinaryIO

import duckdb
import msgspec

from analytics.warehouse.answer import expressions, json_line
from analytics.warehouse.order import Head, Order, Tail
from analytics.warehouse.progress import tell_from_now_on
from analytics.warehouse.walls import Walls, close_in, confine

_AT_ONCE = 512
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "temp_directory": "",
    "home_directory": "/nowhere",
    "secret_directory": "/nowhere",
    "access_mode": "READ_ONLY",
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "threads": 1,
    "async_threads": 0,
    "max_temp_directory_size": "0KB",
}
_encoder = msgspec.json.Encoder()


class RefusedError(Exception):
    """No answer; its tail says why."""

    def __init__(self, tail: Tail) -> None:
        super().__init__(tail.message)
        self.tail = tail


def main() -> int:
    """Run the one statement; return 0 even when it is refused, for that is told."""
    out = sys.stdout.buffer
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        empty_network = confine(order.bounds)
        connection = opened(f"/dev/fd/{sys.argv[1]}", order.memory_limit_mib)
        walls = Walls(landlock=close_in(), empty_network=empty_network)
        if order.require_landlock and not walls.landlock:
            tail = Tail(reason="unconfined")
        else:
            tell_from_now_on(connection.query_progress, int(sys.argv[2]))
            tail = answer(connection, order, walls, out)
    except RefusedError as error:
        tail = error.tail
    except MemoryError:
        tail = Tail(reason="memory")
    out.write(b"\n" + _encoder.encode(tail))
    out.flush()
    return 0


def opened(path: str, memory_limit_mib: int) -> duckdb.DuckDBPyConnection:
    """Open a published copy for reading, with everything else switched off for good."""
    connection = duckdb.connect(path, config={**_SETTINGS, "memory_limit": f"{memory_limit_mib}MiB"})
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")
    connection.execute("SET lock_configuration = true")
    return connection


def answer(connection: duckdb.DuckDBPyConnection, order: Order, walls: Walls, out: BinaryIO) -> Tail:
    """Write head and rows of a statement's answer, and return how it ended.

    Raises:
        RefusedError: it is not one SELECT, fails, or has a larger answer than it may.
    """
    query, named = _one_select(connection, order.query), dict(order.parameters)
    try:
        connection.execute(f"SELECT * FROM ({query}\n) LIMIT 0", named)  # noqa: S608 - see below
        columns = tuple((str(name), str(kind)) for name, kind, *_ in connection.description)
        out.write(_encoder.encode(Head(columns=columns, walls=walls)) + b"\n")
        aliases = ", ".join(f"c{at}" for at in range(len(columns)))
        row = expressions(order.form, [kind for _, kind in columns])
        connection.execute(f"SELECT {row} FROM ({query}\n) AS answer({aliases})", named)  # noqa: S608 - it was parsed as one SELECT, and the process is the wall
        return Tail(rows=_written(_lines(connection, order, columns), order, out))
    except duckdb.OutOfMemoryException as error:
        raise RefusedError(Tail(reason="memory")) from error
    except duckdb.Error as error:
        raise _refused(_sentence(error)) from error


def _one_select(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    """Return the statement without what may follow it.

    Raises:
        RefusedError: it is not exactly one SELECT.
    """
    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as error:
        raise _refused(_sentence(error)) from error
    if len(statements) != 1:
        message = f"write exactly one SELECT; these are {len(statements)} statements"
        raise _refused(message)
    [statement] = statements
    if statement.type != duckdb.StatementType.SELECT:
        kind = str(statement.type).rpartition(".")[2]
        also = "WITH, FROM, DESCRIBE, SUMMARIZE and SHOW are too; PIVOT inside FROM (...), with its values"
        message = f"only SELECT is answered, not {kind} ({also})"
        raise _refused(message)
    return statement.query.strip().rstrip(";")


def _lines(
    connection: duckdb.DuckDBPyConnection, order: Order, columns: tuple[tuple[str, str], ...]
) -> Iterator[tuple[int, bytes]]:
    """Yield how many rows come, and their text."""
    if order.form == "csv":
        names = ",".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name, _ in columns)
        yield 0, names.encode() + b"\n"
    while rows := connection.fetchmany(_AT_ONCE):
        texts = [json_line(text) for (text,) in rows] if order.form == "json" else [text for (text,) in rows]
        yield len(rows), "".join(f"{text}\n" for text in texts).encode("utf-8", "replace")


def _written(lines: Iterator[tuple[int, bytes]], order: Order, out: BinaryIO) -> int:
    rows = size = 0
    for count, text in lines:
        rows, size = rows + count, size + len(text)
        if rows > order.rows:
            raise RefusedError(Tail(reason="rows"))
        if size > order.answer_bytes:
            raise RefusedError(Tail(reason="bytes"))
        out.write(text)
    return rows


def _refused(message: str) -> RefusedError:
    return RefusedError(Tail(reason="refused", message=message))


def _sentence(error: duckdb.Error) -> str:
    """Return DuckDB's words without the lines that show the statement as it was wrapped."""
    said = str(error).partition("\nLINE ")[0]
    return " ".join(said.split())


if __name__ == "__main__":
    sys.exit(main())
