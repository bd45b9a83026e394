"""Where a lake's files lie: the port.

A file has its name only when it is whole and durable, in every store; names are such as `incoming/a.parquet`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from analytics.lake.questions import Questions

if TYPE_CHECKING:
    import duckdb

OUTBOX = "outbox"
"""The folder in a journal in which files lie that are on their way to an object store."""
OBJECTS = "s3://"
"""How the address of a lake in an object store begins."""


_AT_ONCE = 8


class StoreAwayError(OSError):
    """The store does not answer, or refuses: what was asked of it is to be asked again later."""


class Store(Protocol):
    """Keeps a lake's files by name.

    `OSError` comes through as it is: the disk is full, the directory is not ours, or the store is away.
    """

    is_far: bool
    """Whether every call costs time and money, so that what says nothing new is better left out."""
    questions: Questions
    """Who reads it by questions that take long tells so here."""

    @property
    def waits_s(self) -> float:
        """For how long the oldest call has been waiting for an answer; 0 where none is."""
        ...

    def exists(self, folder: str) -> bool:
        """Tell whether there is such a folder; in an object store, whether anything lies in it."""
        ...

    def prepare(self, folder: str, *, private: bool = False) -> None:
        """Make a folder; a private one is for its owner's eyes alone."""
        ...

    def place(self, name: str, fill: Callable[[Path], None]) -> None:
        """Let `fill` write a file, and give it its name only when it is whole and durable."""
        ...

    def resume(self, is_over: Callable[[str], bool]) -> None:
        """Bring into place what was on its way when it failed, but for what `is_over`."""
        ...

    def replace(self, name: str, body: bytes) -> None:
        """Put a small file in the place of the former one of this name, whole but not durable at once."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return a small file's content; None if there is none."""
        ...

    def bring(self, name: str, path: Path) -> bool:
        """Copy a file of any size to `path`; tell whether there is one."""
        ...

    def names(self, folder: str, start: str = "") -> Sequence[str]:
        """Return the names, within a folder, of the files that begin with `start`, in no order.

        What is on its way counts as there. FileNotFoundError where a folder would have to be there.
        """
        ...

    def sizes(self, folder: str) -> Mapping[str, int]:
        """Return the bytes of each Parquet file of a folder by its whole name; nothing of a folder that is not."""
        ...

    def folders(self, folder: str) -> Sequence[str]:
        """Return the names of the folders in a folder."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        ...

    def remove_folder(self, folder: str) -> int:
        """Remove a folder and the files in it, and return how many these were."""
        ...

    def address(self, name: str) -> str:
        """Return how DuckDB names a file."""
        ...

    def pattern(self, folder: str) -> str | None:
        """Return the glob, as DuckDB reads it, of the Parquet files of a folder; None if there is not one file."""
        ...

    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a connection read this store's addresses."""
        ...

    def break_off(self) -> None:
        """End what is asked of it, in any thread, by an error; a far store refuses every call from now on.

        For whoever ends. Say it again until nothing is asked any more: what begins meanwhile in a directory goes on.
        """
        ...


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How an object store is reached; what is None is looked for in the environment, as every AWS client does."""

    endpoint_url: str | None = None
    region: str | None = None
    key: str | None = None
    secret: str | None = None

    def __repr__(self) -> str:
        return f"Access(endpoint_url={self.endpoint_url!r}, region={self.region!r})"


def read_all(store: Store, names: Sequence[str]) -> list[bytes | None]:
    """Return the content of small files, None of one that is not there; from a far store several at once."""
    if not store.is_far or len(names) < 2:
        return [store.read(name) for name in names]
    with ThreadPoolExecutor(_AT_ONCE, "read-all") as threads:
        return list(threads.map(store.read, names))


def reason_of(error: Exception) -> str:
    """Return the cause in what DuckDB says of a store that failed, which is a traceback's text."""
    causes = [line for line in str(error).splitlines() if "Error: " in line]
    return causes[-1].strip() if causes else str(error).partition("\n")[0]
