"""What became of feedback: each piece is exactly one of `STATUSES`, found out anew whenever somebody asks.

SQL counts, and judges here too, since a piece's fate depends on all the others that name its request.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import duckdb
import msgspec

from analytics.warehouse.database import Warehouse

Status = Literal["joined", "superseded", "foreign", "ambiguous", "expired", "unmatched"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""`queries/feedback.sql` says what each means."""

_QUERIES = Path(__file__).with_name("queries")


class Fates(msgspec.Struct, frozen=True, kw_only=True):
    """How many pieces of one application's feedback have which status."""

    application: str
    joined: int = 0
    superseded: int = 0
    foreign: int = 0
    ambiguous: int = 0
    expired: int = 0
    unmatched: int = 0


def judge(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the view `judged` over the views `requests` and `feedback` of a connection."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW judged AS {(_QUERIES / 'feedback.sql').read_text()}")


def fates(warehouse: Warehouse) -> list[Fates]:
    """Return one row for each application that sent feedback, in the order of their names.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    with warehouse.connection() as connection:
        judge(connection)
        rows = connection.execute((_QUERIES / "feedback_counts.sql").read_text()).fetchall()
    counts: dict[str, dict[str, int]] = {}
    for application, status, pieces in rows:
        counts.setdefault(application, {})[status] = pieces
    return [Fates(application=application, **found) for application, found in counts.items()]
