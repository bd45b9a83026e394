"""Find the lake that a command reads: the one that it names, else the one that `turnout serve` told, else the usual."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from analytics.lake.place import MissingPackageError, Place
from analytics.lake.store import OBJECTS, Store
from gateway.cli import Abort
from gateway.settings.lake_access import access_of, told_lake
from gateway.settings.secrets import SecretError

HELP = "a path, file:///path or s3://BUCKET/PREFIX; default: the one that `turnout serve` wrote to last"


def find_lake(url: str | None, directory: Path, environment: Mapping[str, str]) -> Place:
    """Return where the lake is, of the installation in a state directory unless `url` names another.

    Raises:
        Abort: the credentials that its configuration names are not to be had.
    """
    told = told_lake(directory)
    where = url or told.url or str(directory / "lake")
    if not where.startswith(OBJECTS):
        return Place(url=where)
    try:
        return Place(url=where, access=access_of(told, environment))
    except SecretError as error:
        message = f"the credentials of {where} are missing: {error}"
        raise Abort(message) from error


def find_journal(url: str | None, directory: Path) -> Path | None:
    """Return where this installation's records lie before they are in that lake; None if they go to another one."""
    return directory / "journal" if url in (None, told_lake(directory).url or str(directory / "lake")) else None


def told_retention_days(url: str | None, directory: Path) -> int | None:
    """Return how long the installation in a state directory keeps its lake; None: for ever, or it is another lake."""
    return told_lake(directory).retention_days if url is None else None


def open_lake(url: str | None, directory: Path, environment: Mapping[str, str]) -> Store:
    """Return that lake's store, for reading.

    Raises:
        Abort: see `find_lake`; or this kind of store cannot be opened here.
    """
    try:
        return find_lake(url, directory, environment).open_awaited()
    except MissingPackageError as error:
        raise Abort(str(error)) from error
