"""Which kind of store the address of a lake names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from analytics.lake.directory import Directory
from analytics.lake.store import OBJECTS, Access, Store

if TYPE_CHECKING:
    from analytics.lake.objects import ObjectStore

_AWAITED = {"tries": 2, "read_s": 8}


class MissingPackageError(RuntimeError):
    """This kind of store needs a package that is not installed."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a lake is: a path, `file:///path` or `s3://bucket/prefix`."""

    url: str
    access: Access = Access()

    @property
    def directory(self) -> Path | None:
        """Return its directory on this host; None of an object store."""
        return None if self.url.startswith(OBJECTS) else lake_directory(self.url)

    @property
    def name(self) -> str:
        """Return one address of all those that lead there: an absolute path, or `s3://bucket/prefix`."""
        return self.url.rstrip("/") if self.directory is None else str(self.directory.resolve())

    def open(self, spool: Path | None = None) -> Store:
        """Return its store. What is on its way to an object store lies in `spool`; without one it is for reading.

        Raises:
            MissingPackageError: s3fs is not installed.
        """
        return self._opened(spool, {})

    def open_awaited(self) -> Store:
        """Return its store for reading, as `open` does, for a person: who hears within 17 s or so that it hangs."""
        return self._opened(None, _AWAITED)

    def _opened(self, spool: Path | None, limits: Mapping[str, int]) -> Store:
        if self.directory is not None:
            return Directory(self.directory)
        return self.objects(spool, **limits)

    def objects(self, spool: Path | None = None, **limits: int) -> ObjectStore:
        """Return the store of a place whose address is an object store's; see `open`.

        Raises:
            MissingPackageError: s3fs is not installed.
        """
        try:
            from analytics.lake.objects import ObjectStore  # noqa: PLC0415 - s3fs costs half a second, and may be missing
        except ModuleNotFoundError as error:
            message = f"{self.url} needs a package that is missing here: pip install 'turnout[s3]'"
            raise MissingPackageError(message) from error
        return ObjectStore(self.url, self.access, spool, **limits)


def lake_directory(url: str) -> Path:
    """Return the directory that a lake's address names: a path, or `file:///path`."""
    return Path(unquote(url.removeprefix("file://")) if url.startswith("file://") else url)
