"""Files of a lake that cannot be read: which they are, and why.

Nothing of ours leaves such a file: each is put whole into its place. A disk may, or a person.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import duckdb

from analytics.lake.columns import quoted
from analytics.lake.store import Store, StoreAwayError, reason_of

_READ = "SELECT count(COLUMNS(*)) FROM (SELECT {columns} FROM read_parquet({address}, hive_partitioning = false))"
_NO_PARQUET = (duckdb.InvalidInputException, duckdb.BinderException, duckdb.ConversionException)
"""What DuckDB says of a file that it has, and cannot read; all else a far store may have said that is away."""


Found = TypeVar("Found")


def without_torn(
    count: Callable[[Mapping[str, Collection[str]]], Found],
    store: Store,
    names: Mapping[str, Collection[str]],
    columns: Mapping[str, str],
) -> tuple[Found, Mapping[str, str]]:
    """Return what `count` finds in the files that can be read, and `torn_files`; all `names` are by folder.

    Raises:
        OSError: the lake cannot be read.
    """
    with readable(store):
        try:
            return count(names), {}
        except duckdb.Error:
            torn = torn_files(store, names, columns)
            whole = {folder: [name for name in some if name not in torn] for folder, some in names.items()}
            return count(whole), torn


def torn_files(store: Store, names: Mapping[str, Collection[str]], columns: Mapping[str, str]) -> Mapping[str, str]:
    """Return why a file cannot be read, by its name, of those that cannot; both parameters are by folder.

    Raises:
        duckdb.Error: the far store does not answer.
    """
    found: dict[str, str] = {}
    with duckdb.connect(":memory:") as connection:
        store.attach(connection)
        for folder, some in names.items():
            for name in sorted(some):
                question = _READ.format(columns=columns[folder], address=quoted(store.address(name)))
                try:
                    connection.execute(question).fetchall()
                except duckdb.Error as error:
                    if store.is_far and not isinstance(error, _NO_PARQUET):
                        raise
                    found[name] = reason_of(error)
    return found


@contextmanager
def readable(store: Store) -> Generator[None]:
    """Say of what cannot be read inside that it is the lake.

    Raises:
        OSError: it cannot be read.
    """
    try:
        yield
    except duckdb.Error as error:
        message = f"cannot read {store}: {reason_of(error)}"
        raise (StoreAwayError if store.is_far else OSError)(message) from error
