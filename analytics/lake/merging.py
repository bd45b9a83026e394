"""Many Parquet files to few, each row once. Owns the compaction's DuckDB: one thread, and memory that is bounded."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import msgspec

from analytics.lake.columns import SCHEMA_KEY, quoted
from analytics.lake.elsewhere import Gap
from analytics.lake.layout import INCOMING
from analytics.lake.manifest import Part, Rollup
from analytics.lake.once import KINDS, Kind, rows_of, view_once
from analytics.lake.rollup import DATASET, ORDER, UNROLLED, prepare, question, rollup_file
from analytics.lake.store import Store, StoreAwayError, reason_of

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "memory_limit": "512MB"}
_FETCHED, _SPILLED = "fetched", "spilled"
_ROW_GROUP = 61_440
"""Rows that a reader can step over at once: half of DuckDB's own measure, as most questions are about one rollout."""
_WRITE = """
COPY (SELECT {columns} FROM {name} WHERE {condition} ORDER BY {order}) TO {target} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, ROW_GROUP_SIZE {group}, USE_TMP_FILE false,
    KV_METADATA {{{schema_key}: '{schema}'}}
)
"""
_SUM = """
COPY (SELECT {columns} FROM ({question}) ORDER BY {order}) TO {target} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, ROW_GROUP_SIZE {group}, USE_TMP_FILE false,
    KV_METADATA {{{schema_key}: '{schema}'}}
)
"""
_EXTENTS = """
SELECT filename, count(*), epoch_us(min({at})) FROM read_parquet([{files}], filename = true) GROUP BY filename
"""
_DAYS = "SELECT {at}::DATE, count(*) FROM ({rows}) GROUP BY 1"
_SEQS = """
SELECT worker, boot, min(seq), max(seq)
FROM (
    SELECT worker, boot, seq, seq - row_number() OVER (PARTITION BY worker, boot ORDER BY seq) AS island
    FROM (SELECT DISTINCT worker, boot, seq FROM ({rows}))
)
GROUP BY worker, boot, island
"""
_BOOTS = "SELECT DISTINCT worker, boot FROM ({rows})"
_ANY = "SELECT count(*) > 0 FROM {name} WHERE {condition}"
_FACTS = """
SELECT count(*), min({key})::VARCHAR, max({key})::VARCHAR, epoch_us(min({at})), epoch_us(max({at})) FROM ({rows})
"""


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a file that is not compacted yet: how many rows, and the time of the first (microseconds, UTC)."""

    rows: int
    first_at: int


class Merging:
    """Reads and writes a store's files; what does not fit into memory is spilled to `scratch`. Close it in the end."""

    def __init__(self, store: Store, scratch: Path) -> None:
        self._store, self._fetched, self._spilled = store, scratch / _FETCHED, scratch / _SPILLED
        self._near: dict[str, Path] = {}
        self._clear()
        self._connection = duckdb.connect(":memory:", config={**_SETTINGS, "temp_directory": str(self._spilled)})
        store.attach(self._connection)
        prepare(self._connection)

    def close(self) -> None:
        """Let go of the memory and of what was fetched."""
        self._connection.close()
        self._clear()

    def fetch(self, names: Sequence[str]) -> None:
        """Bring files of a far store here, each by one call, in the place of those that were brought before."""
        if not self._store.is_far:
            return
        kept = {name: path for name, path in self._near.items() if name in names}
        for name in self._near.keys() - kept.keys():
            self._near[name].unlink(missing_ok=True)
        self._near = kept
        self._fetched.mkdir(parents=True, exist_ok=True)
        for name in [one for one in names if one not in kept]:
            body = self._store.read(name)
            if body is None:
                message = f"the lake cannot be compacted: {self._store.address(name)} is gone"
                raise OSError(message)
            self._near[name] = self._fetched / quote(name, safe="")
            self._near[name].write_bytes(body)

    def extents(self, kind: Kind, names: Sequence[str]) -> Mapping[str, Extent]:
        """Return what is in each of some files; one without rows is left out."""
        files = ", ".join(quoted(self._address(name)) for name in names)
        by_address = {self._address(name): name for name in names}
        found = self._rows(_EXTENTS.format(at=kind.at, files=files))
        return {by_address[name]: Extent(rows=rows, first_at=first_at) for name, rows, first_at in found}

    def days(self, kind: Kind, names: Sequence[str]) -> Mapping[date, int]:
        """Return how many rows some files have of each day; doubles count twice.

        Raises:
            OSError: a row is of no day, so it is none of ours; or as in `write`.
        """
        found: dict[date | None, int] = dict(
            self._rows(_DAYS.format(at=kind.at, rows=rows_of(self._address, kind, names)))
        )
        days = {day: rows for day, rows in found.items() if day is not None}
        if days.keys() != found.keys():
            message = (
                f"the lake cannot be compacted: rows have no {kind.at}, so they are of no day; "
                "`turnout lake verify` names each file that is none of the lake's"
            )
            raise OSError(message)
        return days

    def seqs(self, kind: Kind, names: Sequence[str]) -> list[Gap]:
        """Return the ranges of numbers that some files have."""
        found = self._rows(_SEQS.format(rows=rows_of(self._address, kind, names)))
        return [Gap(worker=worker, boot=boot, first_seq=first, last_seq=last) for worker, boot, first, last in found]

    def boots(self, kind: Kind, names: Sequence[str]) -> set[tuple[str, str]]:
        """Return the workers and boots of which some files have rows."""
        return set(self._rows(_BOOTS.format(rows=rows_of(self._address, kind, names))))

    def take(self, kind: Kind, inputs: Sequence[str], known: Sequence[Part]) -> None:
        """Take up the rows of some files, each once, and without those that `known` parts have."""
        self.fetch(inputs)
        with self._told():
            view_once(self._connection, self._address, kind, parts=(), loose=inputs, known=known)

    def write(self, kind: Kind, target: str, day: date | None, other_than: Sequence[date], at: int) -> Part | None:
        """Write the rows of a day, or of all days but some, as one file; return None where there are none.

        Raises:
            OSError: the disk, the memory or the store refuses.
        """
        listed = ", ".join(f"DATE '{one}'" for one in other_than)
        other = f"{kind.at}::DATE NOT IN ({listed})" if other_than else "true"
        condition = f"{kind.at}::DATE = DATE '{day}'" if day else other
        [(is_any,)] = self._rows(_ANY.format(name=kind.name, condition=condition))
        if not is_any:
            return None

        def fill(unfinished: Path) -> None:
            columns = ", ".join(kind.dataset.columns)
            words = {"schema_key": SCHEMA_KEY, "schema": kind.dataset.schema, "group": _ROW_GROUP}
            order, path = f"{kind.order}, {kind.key}", quoted(str(unfinished))
            self._rows(
                _WRITE.format(columns=columns, name=kind.name, condition=condition, order=order, target=path, **words)
            )

        self._store.place(target, fill)
        return self._part(kind, target, day, at)

    def sum_up(self, part: Part, at: int) -> Rollup:
        """Write the hourly sums of a part of requests as one file.

        Raises:
            OSError: the disk, the memory or the store refuses.
        """
        self.fetch([part.name])
        rows, name = rows_of(self._address, KINDS[INCOMING], [part.name]), rollup_file(part.name)
        self._rows(f"CREATE OR REPLACE TEMP VIEW {UNROLLED} AS {rows}")
        self._store.prepare(name.rpartition("/")[0])

        def fill(unfinished: Path) -> None:
            words = {"schema_key": SCHEMA_KEY, "schema": DATASET.schema, "group": _ROW_GROUP, "order": ORDER}
            columns, path = ", ".join(DATASET.columns), quoted(str(unfinished))
            self._rows(_SUM.format(columns=columns, question=question(), target=path, **words))

        self._store.place(name, fill)
        size_bytes = self._store.sizes(name.rpartition("/")[0])[name]
        return Rollup(name=name, requests=part.rows, size_bytes=size_bytes, at=at)

    def _part(self, kind: Kind, name: str, day: date | None, at: int) -> Part:
        rows = rows_of(self._address, kind, [name])
        [(count, *bounds)] = self._rows(_FACTS.format(key=kind.key, at=kind.at, rows=rows))
        first_id, last_id, first_at, last_at = bounds
        return Part(
            name=name,
            day=day,
            rows=count,
            size_bytes=self._store.sizes(name.rpartition("/")[0])[name],
            first_id=first_id,
            last_id=last_id,
            first_at=first_at,
            last_at=last_at,
            at=at,
        )

    def _clear(self) -> None:
        """Remove what lies beside, be it a dead compaction's."""
        for folder in (self._fetched, self._spilled):
            shutil.rmtree(folder, ignore_errors=True)

    def _address(self, name: str) -> str:
        return str(self._near[name]) if name in self._near else self._store.address(name)

    def _rows(self, statement: str) -> list[Any]:
        with self._told():
            return self._connection.execute(statement).fetchall()

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except duckdb.Error as error:
            message = f"the lake cannot be compacted: {reason_of(error)}"
            raise (StoreAwayError if self._store.is_far else OSError)(message) from error
