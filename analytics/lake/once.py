"""Each row of a lake once, as a view in DuckDB. Owns how rows are told apart, and which of two with one id counts.

Compacted files have no row in common, hence only the loose ones are looked through for doubles, and of the compacted
ones those alone in which such an id can be. A compacted row stands; of loose ones the settled row counts. Doubles
are rare: only they are sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from analytics.lake.columns import FEEDBACK as FEEDBACK_ROWS
from analytics.lake.columns import REQUESTS, Dataset, quoted
from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.manifest import Part

if TYPE_CHECKING:
    import duckdb


Address = Callable[[str], str]
"""Takes a file's name and returns how DuckDB names it."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of rows: their view's `name`, what tells them apart (`key`), and the column whose day they belong to.

    Of doubles the first by `doubles` counts; in a compacted file rows lie by `order`.
    """

    name: str
    dataset: Dataset
    key: str
    at: str
    doubles: str
    order: str


KINDS = {
    INCOMING: Kind(
        name="requests",
        dataset=REQUESTS,
        key="request_id",
        at="started_at",
        doubles="outcome = 'interrupted', worker",
        order="rollout, started_at",
    ),
    FEEDBACK: Kind(
        name="feedback",
        dataset=FEEDBACK_ROWS,
        key="feedback_id",
        at="received_at",
        doubles="received_at",
        order="received_at",
    ),
}
"""By the folder where rows come in."""

_EXTENT = "SELECT min({key})::VARCHAR, max({key})::VARCHAR, count(*) FROM {name}_ids"
_SAMPLED = 256
"""Of so many ids one is looked at to cut them into slices."""
_SAMPLE = "SELECT {key}::VARCHAR FROM {name}_ids WHERE rowid % {sampled} = 0 ORDER BY 1"
_ANY_DOUBLED = "SELECT count(*) > 0 FROM {name}_doubled"
_IDS = "CREATE OR REPLACE TEMP TABLE {name}_ids AS SELECT {key} FROM ({loose})"
_NONE_DOUBLED = """
CREATE OR REPLACE TEMP TABLE {name}_doubled AS SELECT {key}, true AS is_known FROM {name}_ids LIMIT 0
"""
_DOUBLED = """
INSERT INTO {name}_doubled
WITH slice AS (SELECT {key} FROM {name}_ids WHERE {condition}),
known AS (SELECT {key} FROM slice SEMI JOIN ({near}) USING ({key}))
SELECT DISTINCT {key}, true FROM known
UNION ALL
SELECT {key}, false FROM slice ANTI JOIN known USING ({key}) GROUP BY {key} HAVING count(*) > 1
"""
_ROWS = """
(SELECT {empty} LIMIT 0)
UNION ALL BY NAME
SELECT * FROM read_parquet([{files}], union_by_name = true, hive_partitioning = false)
"""
_BESIDE = """
DELETE FROM {name}_beside WHERE {key} IN (SELECT {key} FROM {name}_ids) OR {key} IN (SELECT {key} FROM ({near}))
"""
_BESIDE_EXTENT = "SELECT min({key})::VARCHAR, max({key})::VARCHAR FROM {name}_beside"
_AND_BESIDE = """
UNION ALL BY NAME
SELECT * FROM {name}_beside
"""
_VIEW = """
CREATE OR REPLACE TEMP VIEW {view} AS
SELECT * FROM ({parts})
UNION ALL BY NAME
SELECT * FROM ({loose})
"""
_VIEW_OF_DOUBLES = """
CREATE OR REPLACE TEMP VIEW {view} AS
SELECT * FROM ({parts})
UNION ALL BY NAME
SELECT * FROM ({loose}) ANTI JOIN {name}_doubled USING ({key})
UNION ALL BY NAME
SELECT * FROM ({loose}) SEMI JOIN (FROM {name}_doubled WHERE NOT is_known) USING ({key})
QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {doubles}) = 1
"""


def view_once(
    connection: duckdb.DuckDBPyConnection,
    address: Address,
    kind: Kind,
    *,
    parts: Sequence[Part],
    loose: Sequence[str],
    known: Sequence[Part] = (),
    at_once: int = 2_000_000,
) -> None:
    """Make the view of the rows of `parts` and of `loose` files, without those that a `known` part has: see `Once`."""
    Once(connection, address, kind, parts=parts, loose=loose, known=known, at_once=at_once).view(kind.name)


class Once:
    """The rows of `parts` and of `loose` files, each once, without those that a `known` part has.

    The loose rows' ids are looked through slice by slice, about `at_once` of them: that bounds the memory. What
    `is_beside` are rows of the table `{name}_beside`, each once: of these, the ones that no file has.
    """

    def __init__(  # noqa: PLR0913 - one for each of what the rows come from
        self,
        connection: duckdb.DuckDBPyConnection,
        address: Address,
        kind: Kind,
        *,
        parts: Sequence[Part],
        loose: Sequence[str],
        known: Sequence[Part] = (),
        is_beside: bool = False,
        at_once: int = 2_000_000,
    ) -> None:
        self._connection, self._address, self._kind, self._parts = connection, address, kind, parts
        self._words = {
            "name": kind.name,
            "key": kind.key,
            "doubles": kind.doubles,
            "loose": rows_of(address, kind, loose),
        }
        is_doubled = False
        if loose or is_beside:
            connection.execute(_IDS.format(**self._words))
            connection.execute(_NONE_DOUBLED.format(**self._words))
            for low, high, condition in _slices(connection, self._words, at_once):
                near = rows_of(address, kind, _near((*parts, *known), low, high))
                connection.execute(_DOUBLED.format(**self._words, near=near, condition=condition))
            [(is_doubled,)] = connection.execute(_ANY_DOUBLED.format(**self._words)).fetchall()
        if is_beside:
            [(low, high)] = connection.execute(_BESIDE_EXTENT.format(**self._words)).fetchall()
            connection.execute(_BESIDE.format(**self._words, near=rows_of(address, kind, _near(parts, low, high))))
        self._statement = (_VIEW_OF_DOUBLES if is_doubled else _VIEW) + (_AND_BESIDE if is_beside else "")

    def view(self, name: str, parts: Sequence[Part] | None = None) -> None:
        """Make the view of them all, or of only some of the `parts` and the rows that are in none."""
        some = self._parts if parts is None else parts
        rows = rows_of(self._address, self._kind, [part.name for part in some])
        self._connection.execute(self._statement.format(**self._words, view=name, parts=rows))


def _slices(
    connection: duckdb.DuckDBPyConnection, words: Mapping[str, str], at_once: int
) -> list[tuple[str | None, str | None, str]]:
    """Return the ids' slices: the least and the greatest id there can be in each, and the condition that chooses it."""
    [(low, high, count)] = connection.execute(_EXTENT.format(**words)).fetchall()
    if count <= at_once:
        return [(low, high, "true")]
    sample = [one for (one,) in connection.execute(_SAMPLE.format(**words, sampled=_SAMPLED)).fetchall()]
    cuts = sorted({low, *sample[:: max(at_once // _SAMPLED, 1)]})
    key = words["key"]
    within = [(one, after, f"{key} >= '{one}' AND {key} < '{after}'") for one, after in pairwise(cuts)]
    return [*within, (cuts[-1], high, f"{key} >= '{cuts[-1]}'")]


def _near(parts: Sequence[Part], low: str | None, high: str | None) -> list[str]:
    """Return the parts in which ids from `low` to `high` can be."""
    if low is None or high is None:
        return []
    return [one.name for one in parts if one.first_id <= high and low <= one.last_id]


def rows_of(address: Address, kind: Kind, names: Sequence[str], needed: Collection[str] | None = None) -> str:
    """Return the SQL that gives the rows of some files; columns that older files lack are NULL.

    Who reads only the `needed` ones may say so: then there may be others that some files have, and some have not.
    """
    columns = {name: what for name, what in kind.dataset.columns.items() if needed is None or name in needed}
    empty = ", ".join(f"NULL::{what} AS {column}" for column, what in columns.items())
    if not names:
        return f"SELECT {empty} LIMIT 0"
    files = ", ".join(quoted(address(name)) for name in names)
    return _ROWS.format(empty=empty, files=files)
