"""A lake's files in a directory of this machine. Owns how a file comes to lie there: whole, durable, then named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from analytics.journal.recovery import sync_directory
from analytics.lake.questions import Questions

if TYPE_CHECKING:
    import duckdb

UNFINISHED_SUFFIX = ".tmp"
_CHUNK_BYTES = 1024 * 1024


class Directory:
    """The store of the files under `root`."""

    is_far = False
    waits_s = 0.0

    def __init__(self, root: Path) -> None:
        self._root = root
        self.questions = Questions()

    def __str__(self) -> str:
        return str(self._root)

    def exists(self, folder: str) -> bool:
        """Tell whether there is such a folder."""
        return (self._root / folder).is_dir()

    def prepare(self, folder: str, *, private: bool = False) -> None:
        """Make a folder and those above it."""
        place = self._root / folder
        if private:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            place.mkdir(mode=0o700, exist_ok=True)
        else:
            place.mkdir(parents=True, exist_ok=True)

    def place(self, name: str, fill: Callable[[Path], None]) -> None:
        """Let `fill` write a file beside its place, make it durable and give it its name."""
        place(self._root / name, fill)

    def resume(self, is_over: Callable[[str], bool]) -> None:
        """Do nothing: what failed here left nothing but an unfinished file."""

    def replace(self, name: str, body: bytes) -> None:
        """Put a small file in the place of the former one."""
        target = self._root / name
        unfinished = target.with_name(target.name + UNFINISHED_SUFFIX)
        unfinished.write_bytes(body)
        unfinished.replace(target)

    def read(self, name: str) -> bytes | None:
        """Return a file's content; None if there is none."""
        try:
            return (self._root / name).read_bytes()
        except FileNotFoundError:
            return None

    def bring(self, name: str, path: Path) -> bool:
        """Copy a file to `path`; tell whether there is one."""
        try:
            with (self._root / name).open("rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, _CHUNK_BYTES)
        except FileNotFoundError:
            return False
        return True

    def names(self, folder: str, start: str = "") -> list[str]:
        """Return the names of a folder's files that begin with `start`, unfinished ones too."""
        with os.scandir(self._root / folder) as entries:
            return [entry.name for entry in entries if entry.name.startswith(start)]

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes of each Parquet file of a folder by its whole name."""
        found: dict[str, int] = {}
        for path in sorted((self._root / folder).glob("*.parquet")):
            with suppress(FileNotFoundError):
                found[f"{folder}/{path.name}"] = path.stat().st_size
        return found

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder."""
        return [path.name for path in (self._root / folder).glob("*/")]

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self._root / name).unlink(missing_ok=True)

    def remove_folder(self, folder: str) -> int:
        """Remove a folder and the files in it, and return how many these were."""
        removed = 0
        for path in (self._root / folder).iterdir():
            path.unlink(missing_ok=True)
            removed += 1
        (self._root / folder).rmdir()
        return removed

    def address(self, name: str) -> str:
        """Return a file's path."""
        return str(self._root / name)

    def pattern(self, folder: str) -> str | None:
        """Return the glob of a folder's Parquet files; None if there are none."""
        place = self._root / folder
        if next(place.glob("*.parquet"), None) is None:
            return None
        return f"{_literally(str(place))}/*.parquet"

    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Do nothing: DuckDB reads directories by itself."""

    def break_off(self) -> None:
        """End the statements that run on the store's connections."""
        self.questions.break_off()


def place(target: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file, and give it its name only when it is whole and durable: there is never half a file."""
    unfinished = target.with_name(target.name + UNFINISHED_SUFFIX)
    write(unfinished)
    fd = os.open(unfinished, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    unfinished.replace(target)
    sync_directory(target.parent)


def _literally(path: str) -> str:
    """Return a path in which no character means anything in a glob."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)
