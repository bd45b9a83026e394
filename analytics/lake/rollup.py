"""Rollups: hourly sums over requests. Owns their columns, the question that makes them, and the view `hourly`.

The law: a row is summed once. A rollup has the rows of one compacted file, all of them, and the manifest names both
together; what is in no rollup is summed when somebody asks, by the same question.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analytics.bins import MACROS
from analytics.lake.columns import Dataset, quoted
from analytics.lake.layout import DAYS, INCOMING, ROLLUPS
from analytics.lake.once import Address

if TYPE_CHECKING:
    import duckdb

UNROLLED = "unrolled"
"""The view of the requests that the question sums."""
_TYPES = {
    "hour": "TIMESTAMP",
    "generation": "INTEGER",
    "step": "INTEGER",
    "is_split": "BOOLEAN",
    "stream": "BOOLEAN",
    "cost_usd": "DOUBLE",
    "latency_sum_ms": "DOUBLE",
    "latency_bins": "INTEGER[]",
    "ttft_sum_ms": "DOUBLE",
    "ttft_bins": "INTEGER[]",
}
_APART = (
    *("hour", "rollout", "generation", "phase", "step", "arm_assigned", "arm_served", "reason", "is_split"),
    *("application", "endpoint", "model_served", "purpose", "stream", "outcome", "error_class"),
)
_FIGURES = (
    *("requests", "errors", "fallbacks", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"),
    *("counted", "cost_usd", "priced", "cost_unknown", "latency_sum_ms", "latencies", "latency_bins"),
    *("ttft_sum_ms", "ttfts", "ttft_bins"),
)
COLUMNS = {
    **{name: _TYPES.get(name, "VARCHAR") for name in _APART},
    **{name: _TYPES.get(name, "BIGINT") for name in _FIGURES},
}
"""The type of each column of rollups, in the files' order: what tells rows apart, then what adds up."""
DATASET = Dataset(columns=COLUMNS, schema=1)
ORDER = ", ".join(_APART)

_ROLLED = """
(SELECT {empty} LIMIT 0)
UNION ALL BY NAME
SELECT * FROM read_parquet([{files}], union_by_name = true, hive_partitioning = false)
"""


def question() -> str:
    """Return the SQL that sums the view `unrolled`; it needs the macros of `prepare`."""
    return Path(__file__).with_name("rollup.sql").read_text()


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Teach a database the macros that the question and its readers need."""
    for name, made in MACROS.items():
        connection.execute(f"CREATE OR REPLACE MACRO {name} AS {made}")


def rollup_file(part: str) -> str:
    """Return the name of the rollup of a compacted file: of no two the same, and always the same."""
    return f"{ROLLUPS}/{part.removeprefix(f'{DAYS[INCOMING]}/')}"


def view_hourly(connection: duckdb.DuckDBPyConnection, address: Address, rollups: Sequence[str]) -> None:
    """Make the view `hourly` of these files' rows, and of the sums over the view `unrolled`, which is there."""
    rolled = f"SELECT {_empty()} LIMIT 0"
    if rollups:
        files = ", ".join(quoted(address(name)) for name in rollups)
        rolled = _ROLLED.format(empty=_empty(), files=files)
    view = f"SELECT * FROM ({rolled}) UNION ALL BY NAME SELECT * FROM ({question()})"  # noqa: S608 - all of it is ours
    connection.execute(f"CREATE OR REPLACE TEMP VIEW hourly AS {view}")


def _empty() -> str:
    return ", ".join(f"NULL::{kind} AS {name}" for name, kind in COLUMNS.items())
