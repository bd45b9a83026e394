"""A lake as a busy installation leaves it, made up: what the shippers of four workers wrote in thirty days.

200,000 users of whom a few ask for most, two rollouts at 50 percent, half of the answers streamed, a few failures,
fallbacks and unknown costs, feedback on 8 percent, some of it twice. DuckDB draws it by hashes: always the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from analytics.lake.batch import FILE_ROWS
from analytics.lake.columns import FEEDBACK, REQUESTS, Dataset
from analytics.lake.layout import FEEDBACK as FEEDBACK_FOLDER
from analytics.lake.layout import INCOMING, Lake

WORKERS = 4
DAYS = 30
_BEGAN_US = round(datetime(2026, 9, 1, tzinfo=UTC).timestamp()) * 1_000_000
ENDED_US = _BEGAN_US + DAYS * 86_400_000_000
_AT_US = f"{_BEGAN_US} + i * ({DAYS} * 86400000000 // rows)"
_UUID = "(printf('%012x', ({at}) // 1000) || '7' || substr({noise}, 1, 3) || 'a' || substr({noise}, 4, 15))::UUID"
_REQUEST_ID = _UUID.format(at=_AT_US, noise="md5(i::VARCHAR)")
_MODEL = "CASE {arm} WHEN 'candidate' THEN 'ft:gpt-4o-mini:acme:' || rollout || ':a1b2c3d4' ELSE 'gpt-4o-mini' END"

_DRAWN = f"""
SELECT *,
    CASE WHEN is_fallen THEN 'base' ELSE arm END AS arm_served,
    CASE WHEN is_fallen OR hash(i, 1) % 1000 >= 12 THEN 'ok' WHEN hash(i, 1) % 1000 >= 8 THEN 'client_cancelled'
        ELSE 'upstream_error' END AS outcome
FROM (
    SELECT *, arm = 'candidate' AND hash(i, 2) % 1000 < 3 AS is_fallen
    FROM (
        SELECT *,
            CASE WHEN hash(u, 1) % 2 = 0 THEN 'sales-companion' ELSE 'support' END AS rollout,
            (hash(u, 2) % 10000)::SMALLINT AS bucket,
            CASE WHEN hash(u, 2) % 10000 < 5000 THEN 'candidate' ELSE 'base' END AS arm,
            exp(5.5 + 0.8 * sqrt(-2 * ln((1 + hash(i, 3) % 999999) / 1e6)) * cos(6.283185 * (hash(i, 4) % 1000) / 1e3))
                AS wait_ms
        FROM (
            SELECT i, {{rows}}::BIGINT AS rows, floor(200000 * pow((hash(i, 5) % 1000000) / 1e6, 3))::BIGINT AS u
            FROM range({{first}}, {{end}}) AS numbers(i)
            WHERE i % {WORKERS} = {{worker}}
        )
    )
)
"""
_REQUEST = {
    "seq": f"i // {WORKERS} + 1",
    "request_id": _REQUEST_ID,
    "started_at": f"make_timestamp({_AT_US})",
    "outcome": "outcome",
    "response_id": "'chatcmpl-' || substr(md5(i::VARCHAR), 1, 24)",
    "application": "'app-' || (hash(u, 6) % 5)",
    "endpoint": "CASE WHEN hash(i, 7) % 20 = 0 THEN 'responses' ELSE 'chat.completions' END",
    "rollout": "rollout",
    "generation": "1",
    "step": "1",
    "snapshot_version": "'1.5'",
    "config_source": "'redis'",
    "percent": "50",
    "bucket": "bucket",
    "arm_assigned": "arm",
    "arm_served": "arm_served",
    "reason": "CASE WHEN hash(u, 8) % 500 = 0 THEN 'targeting_match' ELSE 'split' END",
    "user_hash": "unhex(md5(u::VARCHAR))",
    "user_source": "'user'",
    "model_requested": "rollout",
    "model_served": _MODEL.format(arm="arm_served"),
    "upstream": "'openai'",
    "stream": "hash(i, 9) % 2 = 0",
    "status": "CASE outcome WHEN 'upstream_error' THEN 502 ELSE 200 END",
    "error_class": "CASE outcome WHEN 'upstream_error' THEN 'http_503' END",
    "attempts": "[{'arm': arm_served, 'model': 'gpt-4o-mini', 'upstream': 'openai', 'status': 200, "
    "'error_class': NULL, 'upstream_ms': wait_ms, 'cost_usd': 0.0001}]",
    "fallback_reason": "CASE WHEN is_fallen THEN 'timeout' END",
    "latency_ms": "wait_ms + (hash(i, 10) % 100) / 100.0",
    "ttft_ms": "CASE WHEN hash(i, 9) % 2 = 0 THEN wait_ms / 4 END",
    "upstream_ms": "wait_ms",
    "overhead_ms": "(hash(i, 10) % 100) / 100.0",
    "output_ms": "CASE WHEN hash(i, 9) % 2 = 0 THEN wait_ms * 3 / 4 END",
    "input_tokens": "hash(i, 11) % 2000",
    "cached_tokens": "0",
    "output_tokens": "CASE outcome WHEN 'ok' THEN 1 + hash(i, 12) % 500 END",
    "reasoning_tokens": "0",
    "usage_source": "CASE outcome WHEN 'ok' THEN 'reported' ELSE 'missing' END",
    "cost_usd": "CASE outcome WHEN 'ok' THEN (hash(i, 11) % 2000) * 15e-8 + (hash(i, 12) % 500) * 6e-7 END",
    "cost_unknown": "CASE WHEN outcome <> 'ok' THEN 'no_usage' END",
    "price_version": "'5f2b8c1e9a3d'",
    "finish_reason": "CASE outcome WHEN 'ok' THEN 'stop' END",
    "purpose": "'live'",
    "tags": "MAP {}",
}
_SAID = """
SELECT *, row_number() OVER (ORDER BY i, again) + {before} AS seq
FROM (
    SELECT i, {rows}::BIGINT AS rows, floor(200000 * pow((hash(i, 5) % 1000000) / 1e6, 3))::BIGINT AS u, again
    FROM range({first}, {end}) AS numbers(i), range(2) AS twice(again)
    WHERE hash(i, 20) % 100 < 8 AND (again = 0 OR hash(i, 21) % 50 = 0)
)
"""
_PIECE = {
    "worker": "'worker-0'",
    "boot": "'b0'",
    "seq": "seq",
    "feedback_id": _UUID.format(at=f"{_AT_US} + 30000000 * (1 + again)", noise="md5((i * 2 + again)::VARCHAR)"),
    "received_at": f"make_timestamp({_AT_US} + 30000000 * (1 + again))",
    "application": "'app-' || (hash(u, 6) % 5)",
    "request_id": _REQUEST_ID,
    "thumb": "CASE WHEN hash(i, 22, again) % 3 > 0 THEN 'up' ELSE 'down' END",
}


def write_lake(root: Path, rows: int) -> None:
    """Write the small files of so many requests, and of their feedback."""
    write_part(root, rows, 0, rows)


def write_part(root: Path, rows: int, first_row: int, end_row: int) -> None:
    """Write those of `rows` requests that are numbered `first_row` to `end_row`, which may be later ones as well."""
    lake = Lake(root)
    lake.prepare()
    step = FILE_ROWS * WORKERS
    said = first_row
    with duckdb.connect(":memory:", config={"threads": 2, "memory_limit": "1GB"}) as connection:
        for number, first in enumerate(range(first_row, end_row, step), start=first_row + 1):
            bounds = {"rows": rows, "first": first, "end": min(first + step, end_row)}
            for worker in range(WORKERS):
                name = f"worker-{worker}", f"b{worker}"
                values = {"worker": f"'{name[0]}'", "boot": f"'{name[1]}'", **_REQUEST}
                target = root / lake.range_file(name, number, 0, 1)
                _copy(connection, REQUESTS, values, _DRAWN.format(worker=worker, **bounds), target)
            target = root / lake.range_file(("worker-0", "b0"), number, 0, 1, FEEDBACK_FOLDER)
            said += _copy(connection, FEEDBACK, _PIECE, _SAID.format(before=said, **bounds), target)


def size_bytes(root: Path) -> int:
    """Return the bytes of the Parquet files of requests that were compacted, or else of the small ones."""
    compacted = sum(path.stat().st_size for path in root.glob("requests/*/*.parquet"))
    return compacted or sum(path.stat().st_size for path in (root / INCOMING).glob("*.parquet"))


def _copy(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, values: Mapping[str, str], rows: str, target: Path
) -> int:
    columns = ", ".join(f"({values.get(name, 'NULL')})::{kind} AS {name}" for name, kind in dataset.columns.items())
    statement = f"COPY (SELECT {columns} FROM ({rows})) TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
    [(written,)] = connection.execute(statement).fetchall()
    return written
