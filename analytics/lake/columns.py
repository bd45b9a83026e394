"""The lake's columns: for each its type, and how it comes from the JSON of a frame. The only tables of their kind.

`docs/lake.md` says what each column means; a test compares the two, and these tables with the frames' fields.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from analytics import content, feedback, record
from analytics.content import Content
from analytics.feedback import Feedback
from analytics.record import Record

SCHEMA_KEY = "turnout_schema"
"""Under this key every Parquet file's metadata carries the schema version, a decimal number as text."""

_ATTEMPTS = (
    "STRUCT(arm VARCHAR, model VARCHAR, upstream VARCHAR, status SMALLINT, error_class VARCHAR, "
    "upstream_ms DOUBLE, cost_usd DOUBLE)[]"
)
_TYPES = {
    "request_id": "UUID",
    "started_at": "TIMESTAMP",
    "seq": "BIGINT",
    "generation": "INTEGER",
    "step": "INTEGER",
    "percent": "DECIMAL(5,2)",
    "bucket": "SMALLINT",
    "user_hash": "BLOB",
    "stream": "BOOLEAN",
    "status": "SMALLINT",
    "attempts": _ATTEMPTS,
    "latency_ms": "DOUBLE",
    "ttft_ms": "DOUBLE",
    "upstream_ms": "DOUBLE",
    "overhead_ms": "DOUBLE",
    "output_ms": "DOUBLE",
    "input_tokens": "INTEGER",
    "cached_tokens": "INTEGER",
    "input_audio_tokens": "INTEGER",
    "output_tokens": "INTEGER",
    "reasoning_tokens": "INTEGER",
    "output_audio_tokens": "INTEGER",
    "cost_usd": "DOUBLE",
    "tags": "MAP(VARCHAR, VARCHAR)",
}
COLUMNS = {
    "worker": "VARCHAR",
    "boot": "VARCHAR",
    **{name: _TYPES.get(name, "VARCHAR") for name in Record.__struct_fields__},
}
"""The type of each column of requests, in the files' order."""

_FEEDBACK_TYPES = {
    "feedback_id": "UUID",
    "seq": "BIGINT",
    "received_at": "TIMESTAMP",
    "request_id": "UUID",
    "rating": "TINYINT",
}
FEEDBACK_COLUMNS = {
    "worker": "VARCHAR",
    "boot": "VARCHAR",
    **{name: _FEEDBACK_TYPES.get(name, "VARCHAR") for name in Feedback.__struct_fields__},
}
"""The type of each column of feedback, in the files' order."""

_CONTENT_TYPES = {
    "seq": "BIGINT",
    "captured_at": "TIMESTAMP",
    "expires_at": "TIMESTAMP",
    "body": "BLOB",
    "size_bytes": "BIGINT",
    "is_truncated": "BOOLEAN",
    "request_id": "UUID",
    "feedback_id": "UUID",
    "user_hash": "BLOB",
}
CONTENT_COLUMNS = {
    "worker": "VARCHAR",
    "boot": "VARCHAR",
    **{name: _CONTENT_TYPES.get(name, "VARCHAR") for name in Content.__struct_fields__},
}
"""The type of each column of content, in the files' order."""

_ROWS = """
SELECT {columns}
FROM read_json({source}, columns = {{{fields}}}, format = 'newline_delimited', maximum_object_size = {largest})
"""
_SEAL = """
COPY ({rows}) TO {target} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, USE_TMP_FILE false, KV_METADATA {{{schema_key}: '{schema}'}}
)
"""
_LARGEST_LINE_BYTES = 4 * 1024 * 1024


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of rows: its columns, and the version that its files carry."""

    columns: dict[str, str]
    schema: int


REQUESTS = Dataset(columns=COLUMNS, schema=record.SCHEMA)
FEEDBACK = Dataset(columns=FEEDBACK_COLUMNS, schema=feedback.SCHEMA)
CONTENT = Dataset(columns=CONTENT_COLUMNS, schema=content.SCHEMA)


def seal_statement(dataset: Dataset, *, source: str, target: str, worker: str, boot: str) -> str:
    """Return the SQL that turns a file of one boot's rows, one JSON object a line, into one Parquet file."""
    rows = rows_statement(dataset, source=source, constants={"worker": worker, "boot": boot})
    return _SEAL.format(rows=rows, target=quoted(target), schema_key=SCHEMA_KEY, schema=dataset.schema)


def rows_statement(dataset: Dataset, *, source: str, constants: Mapping[str, str] | None = None) -> str:
    """Return the SQL that reads a file of rows, one JSON object a line; columns that are `constants` are not in them.

    A token count that no INTEGER holds becomes NULL: an upstream's nonsense must not cost us the record.
    """
    given = constants or {}
    kinds = {name: kind for name, kind in dataset.columns.items() if name not in given}
    expressions = (
        quoted(given[name]) if name in given else _expression(name, kind) for name, kind in dataset.columns.items()
    )
    return _ROWS.format(
        columns=", ".join(f"{made} AS {name}" for made, name in zip(expressions, dataset.columns, strict=True)),
        fields=", ".join(f"{name}: {quoted(_read_as(name, kind))}" for name, kind in kinds.items()),
        source=quoted(source),
        largest=_LARGEST_LINE_BYTES,
    )


def quoted(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _read_as(name: str, kind: str) -> str:
    return "DOUBLE" if name.endswith("_tokens") else _READ_AS.get(kind, kind)


def _expression(name: str, kind: str) -> str:
    if name.endswith("_tokens"):
        return f"TRY_CAST({name} AS INTEGER)"
    return _CONVERT.get(kind, "{name}").format(name=name)


_READ_AS = {"TIMESTAMP": "BIGINT", "BLOB": "VARCHAR"}
_CONVERT = {"TIMESTAMP": "make_timestamp({name})", "BLOB": "from_base64({name})"}
"""By a column's type: what stands in the JSON for it, and how it is made of that."""
