"""An analyst's answer as one Parquet file. It is made here, of the rows' texts: the sandbox can write no file.

What comes from the sandbox is not trusted: a type counts only if it is one of those known here; else it is text.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import duckdb

from analytics.lake.columns import quoted
from analytics.warehouse.answer import is_nested
from analytics.warehouse.sandbox import Answer

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "max_temp_directory_size": "0KB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
_SCALARS = frozenset(
    {
        *("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
        *("FLOAT", "DOUBLE", "VARCHAR", "BLOB", "UUID", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    }
)
_DECIMAL = re.compile(r"DECIMAL\(\d{1,2},\d{1,2}\)")
_FIELD = re.compile(r"([A-Za-z_][A-Za-z0-9_]*) (.+)", re.DOTALL)
_WHOLE = "DECIMAL(38,0)"
"""For HUGEINT, what sums of whole numbers are: Parquet has none, and DuckDB would write a DOUBLE."""
_LARGEST_LINE_BYTES = 64 * 1024 * 1024
_COPY = """
COPY (
    SELECT {columns}
    FROM (
        SELECT from_json(json, '["VARCHAR"]') AS texts
        FROM read_ndjson_objects({source}, maximum_object_size = {largest})
    )
) TO {target} (FORMAT parquet, COMPRESSION zstd)
"""


class NoParquetError(RuntimeError):
    """A value of the answer does not fit its column's type."""


def parquet(answer: Answer) -> bytes:
    """Return a Parquet file of an answer of the form `text`.

    Raises:
        NoParquetError: see there.
    """
    columns = ", ".join(
        f"{_cast(at, kind)} AS {_identifier(name)}" for at, (name, kind) in enumerate(answer.columns, start=1)
    )
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(":memory:", config=_SETTINGS) as connection:
        source, target = Path(folder, "rows.json"), Path(folder, "answer.parquet")
        source.write_bytes(answer.text)
        copy = _COPY.format(
            columns=columns, source=quoted(str(source)), target=quoted(str(target)), largest=_LARGEST_LINE_BYTES
        )
        try:
            connection.execute(copy)
        except duckdb.Error as error:
            message = "the answer cannot be written as Parquet; cast a column of an unusual type to VARCHAR"
            raise NoParquetError(message) from error
        return target.read_bytes()


def known(kind: str) -> bool:
    """Tell whether a type is one that a column of a file may have."""
    if kind in _SCALARS or _DECIMAL.fullmatch(kind):
        return True
    if kind.endswith("[]"):
        return known(kind[:-2])
    if kind.startswith("MAP(") and kind.endswith(")"):
        return all(known(part) for part in _parts(kind[4:-1]))
    if kind.startswith("STRUCT(") and kind.endswith(")"):
        fields = [_FIELD.fullmatch(part) for part in _parts(kind[7:-1])]
        return all(field is not None and known(field[2]) for field in fields)
    return False


def _cast(at: int, kind: str) -> str:
    text = f"texts[{at}]"
    if kind == "HUGEINT":
        return f"CAST({text} AS {_WHOLE})"
    if not known(kind):
        return text
    return f"CAST(CAST({text} AS JSON) AS {kind})" if is_nested(kind) else f"CAST({text} AS {kind})"


def _parts(inside: str) -> list[str]:
    """Return what stands between the commas that are in no brackets."""
    parts, depth = [""], 0
    for character in inside:
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
