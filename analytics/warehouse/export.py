"""A lake's rows for other tools: each request once, what its user said beside it, and a description of every column.

One look at the lake decides which files count, and all that is exported comes from them: so requests, feedback and
content fit together, whatever is shipped or compacted meanwhile. Rows pass through DuckDB, file after file, in memory
that is bounded.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb
import msgspec

from analytics.lake.columns import CONTENT as CONTENT_ROWS
from analytics.lake.columns import quoted
from analytics.lake.contents import contents
from analytics.lake.delivery import Delivered, Delivery
from analytics.lake.layout import CONTENT
from analytics.lake.once import KINDS, view_once
from analytics.lake.store import Store, reason_of
from analytics.warehouse.described import (
    DATASETS,
    MANIFEST,
    SCHEMA,
    SCHEMA_JSON,
    SCHEMA_MD,
    ExportedFile,
    Form,
    Manifest,
    as_text,
    described,
    written_as,
)

FILE_ROWS = 1_000_000
"""Days are put together to files of so many rows; one day is never divided."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "192MB",
    "preserve_insertion_order": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
_LEFT_AS_WRITTEN = "join_order,build_side_probe_side"
"""A join keeps its right side in memory: as in `database.py`, feedback, never the requests."""

_FEEDBACK = Path(__file__).with_name("queries") / "feedback.sql"
_PIECES = "CREATE TEMP TABLE pieces AS {question}"
"""Feedback as `queries/feedback.sql` judges it."""
_SAID = """
CREATE TEMP TABLE said AS
SELECT
    request_id,
    max(received_at) FILTER (WHERE thumb IS NOT NULL OR rating IS NOT NULL) AS feedback_at,
    max(thumb) AS feedback_thumb,
    max(rating) AS feedback_rating,
    list_sort(list(DISTINCT signal) FILTER (WHERE signal IS NOT NULL)) AS feedback_signals
FROM pieces
WHERE status = 'joined'
GROUP BY request_id
"""
_PICKED = """
CREATE TEMP TABLE picked AS
SELECT pieces.* FROM (SELECT request_id FROM requests WHERE {wanted}) JOIN pieces USING (request_id)
UNION ALL
SELECT * FROM pieces WHERE request_id IS NULL AND {beside}
"""
_VIEWS = {
    "requests": "(SELECT * FROM requests LEFT JOIN said USING (request_id))",
    "feedback": "picked",
    "content": "content",
}
_TIMES = {"requests": "started_at", "feedback": "received_at", "content": "captured_at"}
_HAS = "SELECT 1 FROM ({rows}) WHERE {column} = {value} LIMIT 1"
_THERE = "SELECT DISTINCT {column} FROM ({rows}) WHERE {column} IS NOT NULL ORDER BY ALL LIMIT {most}"
_LISTED = 20
_DAYS = "SELECT {at}::DATE AS day, count(*) FROM {source} WHERE {wanted} GROUP BY day ORDER BY day"
_COPY = "COPY (SELECT {columns} FROM {view} WHERE {wanted}) TO {target} ({options})"
_OPTIONS: Mapping[Form, str] = {
    # Encodings of the format's first version: the newer ones are not known to every reader.
    "parquet": "FORMAT parquet, PARQUET_VERSION v1, COMPRESSION zstd, ROW_GROUP_SIZE {group}, USE_TMP_FILE false",
    "csv": "FORMAT csv, HEADER true, USE_TMP_FILE false",
    "jsonl": "FORMAT json, USE_TMP_FILE false",
}
_ROW_GROUP, _ROW_GROUP_OF_BODIES = 61_440, 2_048


_NO_ROOM = os.strerror(errno.ENOSPC)
"""How DuckDB, as everybody, says that a disk is full; by its kind such an error is like those of reading."""


class ExportError(RuntimeError):
    """Nothing was exported; the message says why."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows, and in which form. Times in microseconds since 1970 UTC, `since` inclusive, `until` exclusive."""

    form: Form = "parquet"
    by_date: bool = False
    since: int | None = None
    until: int | None = None
    rollout: str | None = None
    application: str | None = None
    with_content: bool = False


class _Slice(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes one file: the rows of the days from `first` to `last`."""

    first: date
    last: date
    rows: int


Tell = Callable[[str, int, int], None]
"""Hears how far it is: of which dataset, how many rows of how many."""


def export(lake: Store, delivery: Delivery, asked: Asked, scratch: Path, *, at: int, tell: Tell) -> Manifest:
    """Hand over what was `asked` of a lake, and return the manifest; what does not fit into memory goes to `scratch`.

    `at` is now, in microseconds since 1970 UTC.

    Raises:
        ExportError: the lake cannot be read, or has nothing of the rollout or the application that is asked for.
        OSError: the lake, the disk or the store refuses.
    """
    names = ["requests", "feedback", *(["content"] if asked.with_content else [])]
    with _opened(lake, asked, scratch) as connection:
        exporter = _Exporter(connection, delivery, asked, tell)
        made = {name: exporter.dataset(name) for name in names}
    schema = described(names, asked.form)
    texts = {SCHEMA_JSON: _indented(schema), SCHEMA_MD: as_text(schema).encode()}
    beside = [_listed(delivery.add(name, lambda path, text=text: _write(path, text))) for name, text in texts.items()]
    manifest = Manifest(
        turnout_export=SCHEMA,
        as_of=at,
        lake=str(lake),
        format=asked.form,
        since=asked.since,
        until=asked.until,
        rollout=asked.rollout,
        application=asked.application,
        rows={name: sum(one.rows or 0 for one in files) for name, files in made.items()},
        files=[*(one for files in made.values() for one in files), *beside],
    )
    delivery.finish(MANIFEST, _indented(manifest))
    return manifest


@contextmanager
def _opened(lake: Store, asked: Asked, scratch: Path) -> Generator[duckdb.DuckDBPyConnection]:
    """Yield a connection with all that is exported: `requests`, `said`, `picked` and, if asked for, `content`."""
    try:
        with duckdb.connect(":memory:", config={**_SETTINGS, "temp_directory": str(scratch)}) as connection:
            lake.attach(connection)
            connection.execute(f"SET disabled_optimizers = '{_LEFT_AS_WRITTEN}'")
            for folder, found in contents(lake).items():
                view_once(connection, lake.address, KINDS[folder], parts=found.parts, loose=sorted(found.loose))
            if asked.with_content:
                _view_content(connection, lake)
            _require_known(connection, asked)
            connection.execute(_PIECES.format(question=_FEEDBACK.read_text()))
            connection.execute(_SAID)
            wanted, beside = _wanted("requests", asked), _wanted("feedback", asked)
            connection.execute(_PICKED.format(wanted=wanted, beside=beside if asked.rollout is None else "false"))
            yield connection
    except duckdb.Error as error:
        if _NO_ROOM in str(error):
            raise OSError(errno.ENOSPC, _NO_ROOM) from error
        message = f"nothing was exported, for the lake cannot be read: {reason_of(error)}"
        raise ExportError(message) from error


def _require_known(connection: duckdb.DuckDBPyConnection, asked: Asked) -> None:
    """Refuse what nothing in the lake is of, at whatever time: an export without rows would look like one of it.

    Raises:
        ExportError: there are rows, but none of this rollout or application.
    """
    everywhere = ("requests", "feedback", *(["content"] if asked.with_content else []))
    for column, value, tables in (
        ("rollout", asked.rollout, ("requests",)),
        ("application", asked.application, everywhere),
    ):
        rows = " UNION ALL ".join(f"SELECT {column} FROM {table}" for table in tables)  # noqa: S608 - words of ours
        has = _HAS.format(rows=rows, column=column, value=quoted(value or ""))
        if value is None or connection.execute(has).fetchone():
            continue
        there = _THERE.format(rows=rows, column=column, most=_LISTED + 1)
        found = [str(one) for (one,) in connection.execute(there).fetchall()]
        if found:
            listed = ", ".join(found[:_LISTED]) + (" and others" if len(found) > _LISTED else "")
            message = f"nothing was exported: nothing in the lake is of the {column} {value!r}; there are: {listed}"
            raise ExportError(message)


def _view_content(connection: duckdb.DuckDBPyConnection, lake: Store) -> None:
    """Make the view of the content that is kept; only files that lie there at this moment are read."""
    files = [name for folder in lake.folders(CONTENT) for name in lake.sizes(f"{CONTENT}/{folder}")]
    empty = ", ".join(f"NULL::{kind} AS {name}" for name, kind in CONTENT_ROWS.columns.items())
    rows = f"(SELECT {empty} LIMIT 0)"
    if files:
        listed = ", ".join(quoted(lake.address(name)) for name in files)
        rows += f" UNION ALL BY NAME FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    connection.execute(f"CREATE TEMP VIEW content AS {rows}")


class _Exporter:
    """Hands over one dataset after the other."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, delivery: Delivery, asked: Asked, tell: Tell) -> None:
        self._connection, self._delivery, self._asked, self._tell = connection, delivery, asked, tell

    def dataset(self, name: str) -> list[ExportedFile]:
        """Hand over one dataset's files, the earliest rows first; one without rows where there are none at all."""
        wanted = "true" if name == "feedback" else _wanted(name, self._asked)
        source = "picked" if name == "feedback" else name
        days = _DAYS.format(at=_TIMES[name], source=source, wanted=wanted)
        slices = _slices(self._connection.execute(days).fetchall(), by_date=self._asked.by_date)
        total, done = sum(one.rows for one in slices), 0
        made: list[ExportedFile] = []
        for number, one in enumerate(slices, start=1):
            self._tell(name, done, total)
            made.append(self._file(name, one, wanted, number))
            done += one.rows
        self._tell(name, total, total)
        return made

    def _file(self, name: str, one: _Slice, wanted: str, number: int) -> ExportedFile:
        form = self._asked.form
        folder, number = (f"{name}/date={one.first}", 1) if self._asked.by_date else (name, number)
        columns = ", ".join(f"{written_as(column, kind, form)} AS {column}" for column, kind in DATASETS[name].items())
        span = f"{_TIMES[name]} >= DATE '{one.first}' AND {_TIMES[name]} < DATE '{one.last}' + 1"
        options = _OPTIONS[form].format(group=_ROW_GROUP_OF_BODIES if name == "content" else _ROW_GROUP)
        counts: list[int] = []

        def fill(path: Path) -> None:
            target = quoted(str(path))
            copy = _COPY.format(
                columns=columns, view=_VIEWS[name], wanted=f"{wanted} AND {span}", target=target, options=options
            )
            counts.extend(rows for (rows,) in self._connection.execute(copy).fetchall())

        taken = self._delivery.add(f"{folder}/{number:06d}.{form}", fill, private=name == "content")
        return _listed(taken, counts[0])


def _wanted(name: str, asked: Asked) -> str:
    """Return the SQL condition for the rows of a dataset that are asked for."""
    parts = [
        (asked.since is not None, f"{_TIMES[name]} >= make_timestamp({asked.since})"),
        (asked.until is not None, f"{_TIMES[name]} < make_timestamp({asked.until})"),
        (asked.rollout is not None and name == "requests", f"rollout = {quoted(asked.rollout or '')}"),
        (asked.application is not None, f"application = {quoted(asked.application or '')}"),
    ]
    return " AND ".join(condition for is_asked, condition in parts if is_asked) or "true"


def _slices(days: Sequence[tuple[date, int]], *, by_date: bool) -> list[_Slice]:
    """Put days together to files; each day alone if so wished."""
    slices: list[_Slice] = []
    for day, rows in days:
        last = slices[-1] if slices else None
        if last is None or by_date or last.rows + rows > FILE_ROWS:
            slices.append(_Slice(first=day, last=day, rows=rows))
        else:
            slices[-1] = _Slice(first=last.first, last=day, rows=last.rows + rows)
    return slices or ([] if by_date else [_Slice(first=date(1970, 1, 1), last=date(1970, 1, 1), rows=0)])


def _listed(taken: Delivered, rows: int | None = None) -> ExportedFile:
    return ExportedFile(**msgspec.structs.asdict(taken), rows=rows)


def _indented(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _write(path: Path, body: bytes) -> None:
    path.write_bytes(body)
