"""Rows to Parquet and back, through DuckDB. Owns the shipper's only connection and its one scratch file.

A row is the JSON of a frame. It is made as soon as that is read, so that no record stays in memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import duckdb
import msgspec

from analytics.lake.columns import REQUESTS, Dataset, quoted, seal_statement
from analytics.lake.store import Store, StoreAwayError, reason_of
from analytics.record import Frame

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "max_temp_directory_size": "0KB",
}
_encoder = msgspec.json.Encoder()


class UnwritableRowError(ValueError):
    """One of the rows has a value that its column cannot hold."""


class ParquetWriter:
    """Writes to and reads from `store`. `scratch` is a file of this object's own; close it in the end."""

    def __init__(self, scratch: Path, store: Store) -> None:
        self._scratch, self._store = scratch, store
        self._connection = duckdb.connect(":memory:", config=_SETTINGS)
        store.attach(self._connection)

    def write(self, target: str, boot: tuple[str, str], rows: Sequence[bytes], dataset: Dataset = REQUESTS) -> None:
        """Put one Parquet file of `row`s of one (worker, boot) into place, whole and durable.

        Raises:
            UnwritableRowError: a row's value does not fit its column.
            OSError: the disk or the memory refuses; trying again later may help.
        """
        try:
            self._scratch.write_bytes(b"".join(rows))
            self._place(target, boot, dataset)
        finally:
            # Its space may be what the journal beside it is waiting for.
            with suppress(OSError):
                os.truncate(self._scratch, 0)

    def _place(self, target: str, boot: tuple[str, str], dataset: Dataset) -> None:
        def fill(unfinished: Path) -> None:
            source, (worker, boot_id) = str(self._scratch), boot
            statement = seal_statement(dataset, source=source, target=str(unfinished), worker=worker, boot=boot_id)
            try:
                self._connection.execute(statement)
            except (duckdb.DataError, duckdb.InvalidInputException) as error:
                unfinished.unlink(missing_ok=True)
                message = f"a record of worker {boot[0]} does not fit the lake's columns"
                raise UnwritableRowError(message) from error
            except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
                message = f"cannot write {self._store.address(target)}: {error}"
                raise OSError(message) from error

        self._store.place(target, fill)

    def seqs(self, files: Sequence[str]) -> set[int]:
        """Return the sequence numbers in some files.

        Raises:
            OSError: one cannot be read now.
        """
        found: set[int] = set()
        for name in files:
            path = self._store.address(name)
            try:
                rows = self._connection.execute(f"SELECT seq FROM read_parquet({quoted(path)})").fetchall()  # noqa: S608 - the path is quoted
            except duckdb.Error as error:
                message = f"cannot read {path}: {reason_of(error)}"
                raise (StoreAwayError if self._store.is_far else OSError)(message) from error
            found.update(seq for (seq,) in rows)
        return found

    def close(self) -> None:
        """Close the connection and remove the scratch file."""
        self._connection.close()
        self._scratch.unlink(missing_ok=True)


def row(frame: Frame, boot: tuple[str, str] | None = None) -> bytes:
    """Return a frame as the lake's writer takes it, one JSON object and a line end; with a `boot` it names that too."""
    fields = msgspec.structs.asdict(frame)
    known = fields if boot is None else {"worker": boot[0], "boot": boot[1], **fields}
    return _encoder.encode(known) + b"\n"
