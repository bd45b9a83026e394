"""Erase a user from a lake's files. Owns which rows are theirs, and what becomes of them.

A request's row stays, under a pseudonym that is random and the same in all of them, without tags and trace ids: so
every sum, count and interval stays as it was. Content, comments among it, goes. Feedback has nothing of a user but
what was said of the request.

The law: a file is written anew under its own name, with the same rows in the same order, or not at all. Names say what
was shipped and what counts, and stay true; whoever reads a file has the former or the new one; and who begins again
finds done what was done.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from msgspec.structs import replace

from analytics.lake.columns import CONTENT as CONTENT_ROWS
from analytics.lake.columns import REQUESTS, SCHEMA_KEY, Dataset, quoted
from analytics.lake.contents import contents
from analytics.lake.erasure import Erasure
from analytics.lake.layout import CONTENT, DAYS, INCOMING, MERGED
from analytics.lake.manifest import Manifest, read_manifest, write_manifest
from analytics.lake.store import Store, StoreAwayError, reason_of

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "memory_limit": "512MB"}
_SPILLED = "spilled-erasing"
_AT_ONCE = 500
"""Files that one question reads: a lake may have very many small ones of content."""
_ROW_GROUP = 61_440
_TOLD_OF = ("tags", "trace_id", "span_id", "parent_span_id")
"""What may name the user, or lead to them in a place that is not ours."""

_THEIRS = "user_hash = {hash} AND {at} <= make_timestamp({asked_at}) AND {application}"
_LOOK = """
SELECT filename, count(*) FILTER ({theirs}) AS theirs, count(*) FILTER (user_hash = {pseudonym}) AS done
FROM read_parquet([{files}], filename = true, union_by_name = true, hive_partitioning = false)
WHERE user_hash IN ({hash}, {pseudonym})
GROUP BY filename
"""
_REQUESTS = """
INSERT INTO erased
SELECT request_id, application, response_id
FROM read_parquet([{files}], union_by_name = true, hive_partitioning = false)
WHERE user_hash = {pseudonym}
"""
_PIECES = """
SELECT filename, count(*)
FROM read_parquet([{files}], filename = true, union_by_name = true, hive_partitioning = false)
WHERE {pieces}
GROUP BY filename
"""
_PIECES_OF = """
coalesce({theirs}, false)
OR coalesce(request_id IN (SELECT request_id FROM erased), false)
OR kind = 'comment' AND coalesce((application, response_id) IN (
    SELECT (application, response_id) FROM erased WHERE response_id IS NOT NULL
), false)
"""
_WRITE = """
COPY ({rows}) TO {target} (
    FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, ROW_GROUP_SIZE {group}, USE_TMP_FILE false,
    KV_METADATA {{{schema_key}: '{schema}'}}
)
"""
_ROWS = """
SELECT {columns} FROM (
    (SELECT {empty} LIMIT 0)
    UNION ALL BY NAME
    SELECT * FROM read_parquet({file}, hive_partitioning = false)
)
"""


class Erasing:
    """Looks through a lake and writes files anew; what does not fit into memory is spilled to `scratch`. Close it."""

    def __init__(self, store: Store, scratch: Path) -> None:
        self._store, self._spilled = store, scratch / _SPILLED
        shutil.rmtree(self._spilled, ignore_errors=True)
        self._connection = duckdb.connect(":memory:", config={**_SETTINGS, "temp_directory": str(self._spilled)})
        self._connection.execute("CREATE TABLE erased (request_id UUID, application VARCHAR, response_id VARCHAR)")
        store.attach(self._connection)

    def close(self) -> None:
        """Let go of the memory."""
        self._connection.close()
        shutil.rmtree(self._spilled, ignore_errors=True)

    def look(self, erasure: Erasure, keep: Callable[[Erasure], None], *, is_whole: bool) -> Erasure:
        """Erase what is there, and return the erasure with its counts; `keep` gets it before each file is written.

        A look that is not whole passes over the compacted files that the last one has seen.

        Raises:
            OSError: the disk, the memory or the store refuses; who looks again goes on from there.
        """
        manifest = read_manifest(self._store)
        seen = set[str]() if is_whole else _seen(manifest, erasure.looked_at or 0)
        found = self._requests(erasure, [name for name in self._request_files() if name not in seen])
        for name in [name for name, (theirs, _) in found.items() if theirs]:
            erasure = self._noted(erasure, keep, name, 0)
            self._write(name, REQUESTS, erasure)
        self._connection.execute("DELETE FROM erased")
        for names in _some(found):
            self._ask(_REQUESTS, erasure, names)
        for name, pieces in self._contents(erasure).items():
            erasure = self._noted(erasure, keep, name, pieces)
            self._write(name, CONTENT_ROWS, erasure)
        self._measure(manifest)
        counted = contents(self._store)[INCOMING].files
        new = [theirs + done * is_whole for name, (theirs, done) in found.items() if name in counted]
        return replace(erasure, requests=sum(new) + (0 if is_whole else erasure.requests))

    def _request_files(self) -> list[str]:
        """Return all files of requests, also those that count no more, or not yet."""
        days = DAYS[INCOMING]
        folders = [INCOMING, MERGED, *(f"{days}/{day}" for day in self._store.folders(days))]
        names = [name for folder in folders for name in self._store.sizes(folder)]
        return [name for name in names if not name.startswith(MERGED) or name.endswith(f"-{days}.parquet")]

    def _requests(self, erasure: Erasure, names: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return how many rows are the user's, and how many are a pseudonym's already, in each file that has any."""
        rows = [row for some in _some(names) for row in self._ask(_LOOK, erasure, some)]
        by_address = {self._store.address(name): name for name in names}
        return {by_address[address]: (theirs, done) for address, theirs, done in rows}

    def _contents(self, erasure: Erasure) -> dict[str, int]:
        """Return how many pieces of content are of the user, in each file that has any."""
        folders = [f"{CONTENT}/{folder}" for folder in self._store.folders(CONTENT)]
        names = [name for folder in folders for name in self._store.sizes(folder)]
        rows = [row for some in _some(names) for row in self._ask(_PIECES, erasure, some)]
        by_address = {self._store.address(name): name for name in names}
        return {by_address[address]: pieces for address, pieces in rows}

    def _noted(self, erasure: Erasure, keep: Callable[[Erasure], None], name: str, pieces: int) -> Erasure:
        """Note what a file loses before it does: who begins again does not count it a second time."""
        rewritten = {**erasure.rewritten, name: pieces}
        noted = replace(erasure, rewritten=rewritten, files=len(rewritten), contents=sum(rewritten.values()))
        keep(noted)
        return noted

    def _write(self, name: str, dataset: Dataset, erasure: Erasure) -> None:
        """Write a file anew: of requests with the pseudonym, of content without what goes."""
        words = _words(erasure)
        is_content = dataset is CONTENT_ROWS
        theirs = "" if is_content else _THEIRS.format(at="started_at", **words)
        renamed = {"user_hash": words["pseudonym"], **dict.fromkeys(_TOLD_OF, "NULL")}
        changed = {} if is_content else renamed
        columns = [
            f"CASE WHEN {theirs} THEN {changed[column]} ELSE {column} END AS {column}" if column in changed else column
            for column in dataset.columns
        ]
        rows = _ROWS.format(
            columns=", ".join(columns),
            empty=", ".join(f"NULL::{what} AS {column}" for column, what in dataset.columns.items()),
            file=quoted(self._store.address(name)),
        )
        if is_content:
            rows = f"{rows} WHERE NOT ({_of_content(words)})"

        def fill(unfinished: Path) -> None:
            target = quoted(str(unfinished))
            with self._told():
                self._connection.execute(
                    _WRITE.format(
                        rows=rows, target=target, group=_ROW_GROUP, schema_key=SCHEMA_KEY, schema=dataset.schema
                    )
                )

        self._store.place(name, fill)

    def _measure(self, manifest: Manifest) -> None:
        """Let the manifest know the sizes of the files that it names."""
        folders = {part.name.rpartition("/")[0] for parts in manifest.parts.values() for part in parts}
        sizes = {name: size for folder in folders for name, size in self._store.sizes(folder).items()}
        parts = {
            folder: [replace(part, size_bytes=sizes.get(part.name, part.size_bytes)) for part in known]
            for folder, known in manifest.parts.items()
        }
        if any(list(known) != list(manifest.parts[folder]) for folder, known in parts.items()):
            write_manifest(self._store, replace(manifest, number=manifest.number + 1, parts=parts))

    def _ask(self, statement: str, erasure: Erasure, names: Sequence[str]) -> list[Any]:
        words = _words(erasure)
        files = ", ".join(quoted(self._store.address(name)) for name in names)
        told = {"theirs": _THEIRS.format(at="started_at", **words), "pieces": _of_content(words)}
        with self._told():
            return self._connection.execute(statement.format(files=files, **words, **told)).fetchall()

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except duckdb.Error as error:
            message = f"the lake cannot be looked through: {reason_of(error)}"
            raise (StoreAwayError if self._store.is_far else OSError)(message) from error


def _words(erasure: Erasure) -> Mapping[str, str]:
    """Return the parts of the statements that are about one user."""
    application = "true" if erasure.application is None else f"application = {quoted(erasure.application)}"
    return {
        "hash": _bytes(erasure.user_hash),
        "pseudonym": _bytes(erasure.pseudonym),
        "asked_at": str(erasure.asked_at),
        "application": application,
    }


def _of_content(words: Mapping[str, str]) -> str:
    return _PIECES_OF.format(theirs=_THEIRS.format(at="captured_at", **words))


def _bytes(value: bytes | None) -> str:
    return f"unhex('{(value or b'').hex()}')"


def _seen(manifest: Manifest, looked_at: int) -> set[str]:
    return {part.name for parts in manifest.parts.values() for part in parts if part.at < looked_at}


def _some(names: Iterable[str]) -> list[list[str]]:
    listed = sorted(names)
    return [listed[at : at + _AT_ONCE] for at in range(0, len(listed), _AT_ONCE)]
