"""Which files of the lake are in the evidence already, and which are not. Owns the notes of that.

The law: a row is known by its number, (worker, boot, seq), wherever compaction carries it, and a file by its name.
Names save reading; numbers decide. So a file is left out when its name is noted, or when each of its numbers is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import msgspec

from analytics.lake.contents import Contents, contents
from analytics.lake.layout import FEEDBACK, INCOMING, MERGED
from analytics.lake.once import KINDS, rows_of
from analytics.lake.store import Store
from analytics.warehouse.evidence_tables import NEEDED_OF
from analytics.warehouse.near_files import NearFiles
from analytics.warehouse.views import text_of

_PARQUET = ".parquet"
_MANIFEST = "manifest-"
_AT_ONCE = 256
"""Loose files that are folded in one transaction."""
_NUMBERS, _FRESH, _ARRIVED = "numbers", "fresh_numbers", "arrived"
_EXTENT = "SELECT min({id})::VARCHAR, max({id})::VARCHAR FROM ({rows})"
_APART = "SELECT name FROM evidence_file WHERE last_id < $low::UUID OR first_id > $high::UUID"
_SLACK_US = 1_000_000
"""An id's time is its row's, to the millisecond."""
_TABLE = "CREATE OR REPLACE TEMP TABLE {name} AS {rows}"
_NUMBERED = "SELECT DISTINCT worker, boot, seq FROM ({rows})"
_SOME = "FROM ({rows}) WHERE seq IS NULL OR (worker, boot, seq) IN (SELECT (worker, boot, seq) FROM {fresh})"
_COUNT = "SELECT count(*) FROM {name}"
_SEEN_OVER = """
DELETE FROM evidence_seen WHERE kind = $kind AND (worker, boot) IN (SELECT (worker, boot) FROM {numbers})
"""
_NOTE = "INSERT INTO evidence_file SELECT $kind, unnest($names), $first_id, $last_id"
_FORGET = "DELETE FROM evidence_file WHERE kind = $kind AND name IN (SELECT unnest($names))"


class Heap(msgspec.Struct, frozen=True, kw_only=True):
    """Files of one kind of rows that are folded together; `is_part`: it is one compacted file."""

    folder: str
    names: Sequence[str]
    is_part: bool = False


class FoldedFiles:
    """The notes in the evidence of `connection`, of one lake's files; `near` brings them where need be."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, store: Store, near: NearFiles) -> None:
        self._connection, self._store, self._near = connection, store, near
        self._manifest: str | None = None
        self._contents: Mapping[str, Contents] = {}
        self._noted: dict[str, set[str]] = {}
        self._replaced: Mapping[str, set[str]] = {}
        self.forget_memory()

    @property
    def contents(self) -> Mapping[str, Contents]:
        """Return what the lake had at the last look, by the folder where rows come in."""
        return self._contents

    def forget_memory(self) -> None:
        """Take what is noted from the tables again, after a transaction that came to nothing."""
        rows = self._connection.execute("SELECT kind, name FROM evidence_file").fetchall()
        self._noted = {folder: {name for kind, name in rows if kind == folder} for folder in KINDS}

    def news(self) -> list[Heap]:
        """Look at the lake; return what was not folded, compacted files first. Nothing new costs a listing.

        Raises:
            OSError: the lake cannot be read.
        """
        loose = {folder: self._names(folder) for folder in KINDS}
        manifest = self._newest_manifest()
        if manifest == self._manifest and not any(self._unknown(folder, names) for folder, names in loose.items()):
            return []
        self._contents = contents(self._store)
        self._manifest = manifest
        # Files that compacted ones have replaced lie about for a while yet.
        self._replaced = {folder: names - self._contents[folder].loose.keys() for folder, names in loose.items()}
        return [heap for folder in (INCOMING, FEEDBACK) for heap in self._heaps(folder)]

    def waiting(self) -> list[str] | None:
        """Return the loose files of requests that were not folded; None where compacted ones may not be either.

        Raises:
            OSError: the lake cannot be listed.
        """
        if self._newest_manifest() != self._manifest:
            return None
        return sorted(self._unknown(INCOMING, self._names(INCOMING)))

    def fresh_rows(self, heap: Heap) -> str | None:
        """Return the question that gives the rows of a heap that were not folded; None where there are none."""
        self._near.bring(() if heap.is_part else heap.names)
        rows = rows_of(self._near.address, KINDS[heap.folder], heap.names)
        ask = self._connection.execute
        if not heap.is_part:
            # Many small files, which are read but once: their numbers, their rows and their extent are all asked.
            ask(_TABLE.format(name=_ARRIVED, rows=NEEDED_OF.format(rows=rows) if heap.folder == INCOMING else rows))
            rows = f"FROM {_ARRIVED}"
        ask(_TABLE.format(name=_NUMBERS, rows=_NUMBERED.format(rows=rows)))
        [(is_seen, is_apart)] = ask(
            text_of("evidence_unseen").format(numbers=_NUMBERS), {"kind": heap.folder}
        ).fetchall()
        if is_seen:
            ask(_TABLE.format(name=_FRESH, rows=f"FROM {_NUMBERS} LIMIT 0"))
            return None
        if is_apart:
            ask(_TABLE.format(name=_FRESH, rows=f"FROM {_NUMBERS}"))
            return rows
        ask(_TABLE.format(name=_FRESH, rows=text_of("evidence_fresh").format(numbers=_NUMBERS)), {"kind": heap.folder})
        return _SOME.format(rows=rows, fresh=_FRESH)

    def apart(self, since: int, until: int) -> set[str]:
        """Return the noted files that have no row of a time (microseconds since 1970 UTC), by the time in their ids."""
        low = f"{max(0, since - _SLACK_US) // 1000:012x}{'0' * 20}"
        high = f"{(until + _SLACK_US) // 1000:012x}{'f' * 20}"
        return {name for (name,) in self._connection.execute(_APART, {"low": low, "high": high}).fetchall()}

    def note(self, heap: Heap) -> int:
        """Note that a heap is folded, of which `fresh_rows` was asked last; return how many numbers were new."""
        kind = heap.folder
        ask = self._connection.execute
        [(count,)] = ask(_COUNT.format(name=_FRESH)).fetchall()
        if count:
            ask(_TABLE.format(name="runs", rows=text_of("evidence_seen").format(numbers=_FRESH)), {"kind": kind})
            ask(_SEEN_OVER.format(numbers=_FRESH), {"kind": kind})
            ask("INSERT INTO evidence_seen SELECT $kind, * FROM runs", {"kind": kind})
        first_id, last_id = self._extent(heap)
        ask(_NOTE, {"kind": kind, "names": list(heap.names), "first_id": first_id, "last_id": last_id})
        self._noted[kind].update(heap.names)
        self._near.bring(())
        return count

    def forget_gone(self) -> None:
        """Forget the names of files that are in the lake no more."""
        for folder, found in self._contents.items():
            gone = self._noted[folder] - set(found.files) - self._names(folder)
            if gone:
                self._connection.execute(_FORGET, {"kind": folder, "names": list(gone)})
            self._noted[folder] -= gone

    def _extent(self, heap: Heap) -> tuple[str | None, str | None]:
        """Return between which ids the rows of a heap are."""
        if heap.is_part:
            part = next(part for part in self._contents[heap.folder].parts if part.name in heap.names)
            return part.first_id, part.last_id
        extent = _EXTENT.format(id=KINDS[heap.folder].key, rows=f"FROM {_ARRIVED}")
        return self._connection.execute(extent).fetchall()[0]

    def _heaps(self, folder: str) -> list[Heap]:
        found, noted = self._contents[folder], self._noted[folder]
        parts = [part.name for part in found.parts if part.name not in noted]
        loose = sorted(name for name in found.loose if name not in noted)
        heaps = [Heap(folder=folder, names=[name], is_part=True) for name in parts]
        return [
            *heaps,
            *(Heap(folder=folder, names=loose[at : at + _AT_ONCE]) for at in range(0, len(loose), _AT_ONCE)),
        ]

    def _unknown(self, folder: str, names: set[str]) -> set[str]:
        return names - self._noted[folder] - self._replaced.get(folder, set())

    def _newest_manifest(self) -> str:
        return max((name for name in self._listed(MERGED) if name.startswith(_MANIFEST)), default="")

    def _names(self, folder: str) -> set[str]:
        return {f"{folder}/{name}" for name in self._listed(folder) if name.endswith(_PARQUET)}

    def _listed(self, folder: str) -> Sequence[str]:
        try:
            return self._store.names(folder)
        except FileNotFoundError:
            return ()
