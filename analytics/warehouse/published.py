"""The published copy that analysts ask: one DuckDB file of what they may see. Owns what is in it, and how it is made.

`python -m analytics.warehouse.published` makes one, of the `Edition` on its standard input: in a process of its own,
for it reads the whole lake. Keys, the audit and content are not in what it reads, and so not in the copy.

    requests   one row a request of the last days
    feedback   one row a piece of feedback received in these days
    judged     the same, with what became of it, found out with the whole lake in view
    ratings    one row a request that was rated in these days
    hourly     sums by the hour, of all time, and rated_hours beside them
    daily, costs, satisfaction     views of these two
    copy       one row: as of when, since when, how many requests, up to when everything is in it

It is made beside its place and renamed: it is there whole, or the former one still is. Its time of modification is its
`as_of`. docs/sql.md tells analysts of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec

from analytics.freshness import Freshness
from analytics.lake.columns import quoted
from analytics.lake.directory import UNFINISHED_SUFFIX, place
from analytics.lake.place import MissingPackageError
from analytics.lake.rollup import prepare
from analytics.warehouse.database import Warehouse, WarehouseError
from analytics.warehouse.edition import Edition
from analytics.warehouse.views import DERIVED, text_of

LIMIT_S = 600.0
_NICE = 10
"""Requests and reports come first."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {"threads": 2, "memory_limit": "1GB"}
_MINUTES = """
SELECT date_trunc('minute', started_at) AS minute, count(*) AS requests
FROM requests
WHERE $applications IS NULL OR list_contains($applications, application)
GROUP BY minute
ORDER BY minute DESC
"""
_TABLES = {"requests": "started_at", "feedback": "received_at", "judged": "received_at"}
"""What is copied as it is, and when its rows are from."""
_COPY = """
CREATE TABLE copy.{name} AS
SELECT * FROM {name}
WHERE {time} >= $since AND ($applications IS NULL OR list_contains($applications, application))
"""
_SUMS = ("hourly", "rated_hours")
"""What is copied of all time, in the order of time."""
_SUM = """
CREATE TABLE copy.{name} AS
SELECT * FROM {name}
WHERE $applications IS NULL OR list_contains($applications, application)
ORDER BY hour
"""
_VIEWS = ("ratings", "daily", "costs", "satisfaction")
"""Questions that the copy's own tables answer, in the order in which they build upon each other."""


def publish(edition: Edition, *, limit_s: float = LIMIT_S) -> Freshness:
    """Make a copy and put it in its place; return how fresh it is.

    Raises:
        WarehouseError: the lake gives no answer.
        MissingPackageError: see `Place`.
        OSError: the disk refuses.
    """
    journal = None if edition.journal is None else Path(edition.journal)
    warehouse = Warehouse(edition.lake.open(), journal, limit_s=limit_s, clock=lambda: edition.as_of)
    found: list[Freshness] = []
    try:
        target = Path(edition.target)
        for left in target.parent.glob(f"{target.name}{UNFINISHED_SUFFIX}*"):
            left.unlink()
        place(target, lambda unfinished: found.append(_fill(warehouse, unfinished, edition)))
    finally:
        warehouse.close()
    return found[0]


def _fill(warehouse: Warehouse, unfinished: Path, edition: Edition) -> Freshness:
    applications = {"applications": None if edition.applications is None else list(edition.applications)}
    as_of = _EPOCH + timedelta(microseconds=edition.as_of)
    with warehouse.look((*_TABLES, *_SUMS)) as seen:
        connection = seen.connection
        minutes = connection.execute(_MINUTES, applications).fetchall()
        since = _since(minutes, edition.max_rows, as_of, timedelta(days=edition.days))
        connection.execute(f"ATTACH {quoted(str(unfinished))} AS copy")
        for name, time in _TABLES.items():
            connection.execute(_COPY.format(name=name, time=time), {"since": since, **applications})
        for name in _SUMS:
            connection.execute(_SUM.format(name=name), applications)
        counted = (
            "SELECT $as_of::TIMESTAMP AS as_of, $since::TIMESTAMP AS since, count(*) AS requests, "
            "make_timestamp($fresh_to) AS fresh_to FROM copy.requests"
        )
        facts = {"as_of": as_of, "since": since, "fresh_to": seen.freshness.fresh_to}
        connection.execute(f"CREATE TABLE copy.copy AS {counted}", facts)
        connection.execute("DETACH copy")
    with duckdb.connect(str(unfinished), config=_SETTINGS) as copy:
        prepare(copy)
        for name in _VIEWS:
            copy.execute(f"CREATE VIEW {name} AS {text_of(DERIVED[name])}")
    unfinished.chmod(0o600)
    os.utime(unfinished, ns=(edition.as_of * 1000, edition.as_of * 1000))
    return seen.freshness


def _since(minutes: Sequence[tuple[datetime, int]], max_rows: int, as_of: datetime, most: timedelta) -> datetime:
    """Return from when on rows are copied: `most` ago, or less: whole minutes, as many as fit, and at least one."""
    since, left = as_of - most, max_rows
    fitting: datetime | None = None
    for minute, requests in minutes:
        left -= requests
        if left < 0 and fitting is not None:
            return fitting
        if minute < since:
            break
        fitting = minute
    return since


def main() -> int:
    """Make the copy that is asked for, and print its `Freshness` as JSON; else 1, with a sentence on standard error."""
    edition = msgspec.json.decode(sys.stdin.buffer.read(), type=Edition)
    os.nice(_NICE)
    try:
        freshness = publish(edition)
    except (WarehouseError, MissingPackageError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(freshness))
    return 0


if __name__ == "__main__":
    sys.exit(main())
