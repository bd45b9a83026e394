"""What was gained, added to tables of sums. Owns that a row is changed where it is there, and inserted where not."""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from analytics.warehouse.evidence_tables import MEASURES

_USER = ("step_id", "arm", "user_hash")
_UPDATE = "UPDATE evidence_{table} AS known SET {added} FROM {gained} AS gained WHERE {same}"
_INSERT = """
INSERT INTO evidence_{table} BY NAME
SELECT gained.* {without} FROM {gained} AS gained
ANTI JOIN {known} AS known ON {same}
"""
_OF_DAYS = "(FROM evidence_user_day WHERE day >= {first_day})"
"""What is not joined is looked for in all rows, unless it is said which ones there are to look at."""
_GAINED_USER = """
CREATE OR REPLACE TEMP TABLE gained_user AS
SELECT step_id, arm, user_hash, {sums} FROM gained_day GROUP BY step_id, arm, user_hash
"""
_TIMES = ["min(first_at) AS first_at", "max(last_at) AS last_at"]
_LATER_TIMES = [
    "first_at = least(known.first_at, gained.first_at)",
    "last_at = greatest(known.last_at, gained.last_at)",
]


def put(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    gained: str,
    keys: Collection[str],
    added: str,
    *,
    without: str = "",
    known: str | None = None,
) -> None:
    """Change the rows of a table, told apart by `keys`, that there are, and insert those that there are not.

    `known`: the question that gives those rows of the table which can be meant; an omitted one is the whole table.
    """
    same = " AND ".join(f"known.{key} = gained.{key}" for key in keys)
    connection.execute(_UPDATE.format(table=table, added=added, gained=gained, same=same))
    insert = _INSERT.format(table=table, without=without, gained=gained, same=same, known=known or f"evidence_{table}")
    connection.execute(insert)


def add_gained(connection: duckdb.DuckDBPyConnection, names: Collection[str], *, has_times: bool) -> None:
    """Add the table `gained_day`, with these measures and in the order of days, to the sums of users and of days."""
    sums = [f"sum({name})::{MEASURES[name]} AS {name}" for name in names]
    connection.execute(_GAINED_USER.format(sums=", ".join([*(_TIMES if has_times else []), *sums])))
    added = [f"{name} = known.{name} + gained.{name}" for name in names]
    without = "EXCLUDE (first_at, last_at)" if has_times else ""
    [(first_day,)] = connection.execute("SELECT coalesce(min(day), 0) FROM gained_day").fetchall()
    known = _OF_DAYS.format(first_day=first_day)
    put(connection, "user_day", "gained_day", (*_USER, "day"), ", ".join(added), without=without, known=known)
    put(connection, "user", "gained_user", _USER, ", ".join([*added, *(_LATER_TIMES if has_times else [])]))
