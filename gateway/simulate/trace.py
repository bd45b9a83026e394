"""Read a trace: when requests came and how large they were.

A trace is a CSV file, plain or gzipped, with the columns `TIMESTAMP`, `ContextTokens` and `GeneratedTokens`, in any
order and beside others. Rows are returned in the order of their time stamps.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from datetime import datetime
from pathlib import Path

import msgspec

SHIPPED = Path(__file__).parent / "traces" / "azure-llm-inference-conv-2023.csv.gz"
"""Azure's conversation trace of 2023; `traces/README.md` has its attribution and licence."""

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOST_TOKENS = 1_000_000
_MICROSECOND_LENGTH = len("2023-11-16 18:15:46.680590")


class BadTraceError(ValueError):
    """A trace that cannot be read; the message names file, line, column, value and remedy."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One request: seconds since the trace's first, tokens of the prompt, tokens of the answer."""

    at_s: float
    input_tokens: int
    output_tokens: int


def read(path: Path, *, limit: int | None = None) -> list[Row]:
    """Return the rows of a trace, or of its first `limit` lines.

    Raises:
        BadTraceError: the file cannot be opened, has no such columns, or a row is wrong.
    """
    lines = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    stamped: list[tuple[datetime, int, int]] = []
    try:
        places = _places(path, next(lines, list[str]()))
        for cells in lines:
            if limit is not None and len(stamped) >= limit:
                break
            if cells:
                stamped.append(_row(path, lines.line_num, cells, places))
    except csv.Error as error:
        message = f"{path}, line {lines.line_num}: is not CSV: {error}"
        raise BadTraceError(message) from error
    if not stamped:
        message = f"{path}: has no rows; a trace needs at least one below its heading"
        raise BadTraceError(message)
    stamped.sort(key=lambda row: row[0])
    first = stamped[0][0]
    return [Row(at_s=(at - first).total_seconds(), input_tokens=i, output_tokens=o) for at, i, o in stamped]


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = f"{path}: is a damaged gzip file ({error}); fetch or pack it again"
        raise BadTraceError(message) from error
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); name a CSV file, or none for the shipped trace"
        raise BadTraceError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path}: is not text in UTF-8; name a CSV file, plain or gzipped"
        raise BadTraceError(message) from error


def _places(path: Path, heading: list[str]) -> tuple[int, int, int]:
    missing = [name for name in COLUMNS if name not in heading]
    if missing:
        message = f"{path}, line 1: no column {' and no '.join(missing)}; the first line must name {', '.join(COLUMNS)}"
        raise BadTraceError(message)
    stamp, context, generated = (heading.index(name) for name in COLUMNS)
    return stamp, context, generated


def _row(path: Path, line: int, cells: list[str], places: tuple[int, int, int]) -> tuple[datetime, int, int]:
    if len(cells) <= max(places):
        message = f"{path}, line {line}: has {len(cells)} of the heading's columns; complete or delete the line"
        raise BadTraceError(message)
    stamp, context, generated = (cells[place].strip() for place in places)
    try:
        at = datetime.fromisoformat(stamp[:_MICROSECOND_LENGTH])
    except ValueError as error:
        wanted = "write YYYY-MM-DD HH:MM:SS.ffffff"
        message = f"{path}, line {line}, column TIMESTAMP: {stamp!r} is not a time; {wanted}"
        raise BadTraceError(message) from error
    return (
        at.replace(tzinfo=None),
        _tokens(context, path, line, "ContextTokens"),
        _tokens(generated, path, line, "GeneratedTokens"),
    )


def _tokens(cell: str, path: Path, line: int, column: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) <= 7 and int(cell) <= MOST_TOKENS):
        wanted = f"write a whole number from 0 to {MOST_TOKENS}"
        message = f"{path}, line {line}, column {column}: {cell[:40]!r} is not a number of tokens; {wanted}"
        raise BadTraceError(message)
    return int(cell)
