"""The lake's columns: for each its type, and how it comes from the JSON of a record. The only table of its kind.

`docs/lake.md` says what each column means; a test compares the two, and this table with `analytics.record.Record`.
"""

from __future__ import annotations

from analytics.record import SCHEMA, Record

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
"""The type of each column, in the files' order."""

_READ_AS = {"started_at": "BIGINT", "user_hash": "VARCHAR"}
_CONVERT = {"started_at": "make_timestamp(started_at)", "user_hash": "from_base64(user_hash)"}
_SEAL = """
COPY (
    SELECT {columns}
    FROM read_json({source}, columns = {{{fields}}}, format = 'newline_delimited', maximum_object_size = {largest})
) TO {target} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, USE_TMP_FILE false, KV_METADATA {{{schema_key}: '{schema}'}}
)
"""
_LARGEST_LINE_BYTES = 4 * 1024 * 1024


def seal_statement(*, source: str, target: str, worker: str, boot: str) -> str:
    """Return the SQL that turns a file of records, one JSON object a line, into one Parquet file.

    A token count that no INTEGER holds becomes NULL: an upstream's nonsense must not cost us the record.
    """
    recorded = [name for name in COLUMNS if name not in ("worker", "boot")]
    constants = [f"{quoted(worker)} AS worker", f"{quoted(boot)} AS boot"]
    return _SEAL.format(
        columns=", ".join([*constants, *(f"{_expression(name)} AS {name}" for name in recorded)]),
        fields=", ".join(f"{name}: {quoted(_read_as(name))}" for name in recorded),
        source=quoted(source),
        target=quoted(target),
        largest=_LARGEST_LINE_BYTES,
        schema_key=SCHEMA_KEY,
        schema=SCHEMA,
    )


def quoted(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _read_as(name: str) -> str:
    return "DOUBLE" if name.endswith("_tokens") else _READ_AS.get(name, COLUMNS[name])


def _expression(name: str) -> str:
    return f"TRY_CAST({name} AS INTEGER)" if name.endswith("_tokens") else _CONVERT.get(name, name)
