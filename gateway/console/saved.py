"""Queries that analysts keep by name, with the values that their parameters have unless others are given.

One file each in a folder of the state directory: they are nobody's state but the analysts', and no change of the
installation, so neither ledger nor audit has them. Whoever saved one may change it; ops may change all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from analytics.lake.directory import place
from analytics.warehouse.order import Scalar
from gateway.console.views import SavedView
from gateway.errors import BadRequestError, ForbiddenError, NotFoundError
from rollout.keys import Role

SAVED = "queries"
"""The folder in the state directory."""

MOST = 1000
MOST_OF_ONE = 200
"""So many of one key: who saves what a program makes up leaves room for somebody else."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """One query as its file has it: `by` names its author as the log does, `key` the author's key; `saved_at` in µs."""

    query: str
    description: str = ""
    parameters: Mapping[str, Scalar] = {}
    by: str
    key: str
    saved_at: int


class SavedQueries:
    """The saved queries in `folder`. May be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list_queries(self) -> list[SavedView]:
        """Return all, in the order of their names; a file that is none of ours is left out."""
        names = sorted(path.stem for path in self._folder.glob("*.json"))
        found = ((name, self._read(name)) for name in names if _NAME.fullmatch(name))
        return [_view(name, saved) for name, saved in found if saved is not None]

    def get(self, name: str) -> Saved:
        """Return one.

        Raises:
            NotFoundError: there is none of this name.
        """
        saved = self._read(name) if _NAME.fullmatch(name) else None
        if saved is None:
            message = f"no query is saved as {name!r}; `turnout sql --list` shows those that are"
            raise NotFoundError(message, param="saved", code="query_not_found")
        return saved

    def save(self, name: str, saved: Saved, role: Role) -> SavedView:
        """Keep a query by this name, in the place of a former one.

        Raises:
            ApiError: it is no name, somebody else's, or there are too many, of all or of this key.
        """
        if not _NAME.fullmatch(name):
            message = f"{name!r} is no name of a query; write small letters, digits, - and _, at most 64"
            raise BadRequestError(message, param="name")
        former = self._read(name)
        if former is not None:
            _require_own(name, former, saved.key, role)
        else:
            self._require_room(saved.key)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        place(self._path(name), lambda unfinished: _write(unfinished, saved))
        return _view(name, saved)

    def forget(self, name: str, key: str, role: Role) -> None:
        """Remove a query.

        Raises:
            ApiError: there is none of this name, or it is somebody else's.
        """
        _require_own(name, self.get(name), key, role)
        self._path(name).unlink(missing_ok=True)

    def _require_room(self, key: str) -> None:
        names = [path.stem for path in self._folder.glob("*.json")]
        if len(names) >= MOST:
            message = f"{MOST} queries are saved already; remove one first, with `turnout sql --forget NAME`"
            raise BadRequestError(message, code="too_many_queries")
        kept = (self._read(name) for name in names)
        if sum(one is not None and one.key == key for one in kept) >= MOST_OF_ONE:
            message = f"this key has saved {MOST_OF_ONE} queries; remove one first, with `turnout sql --forget NAME`"
            raise BadRequestError(message, code="too_many_queries")

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _read(self, name: str) -> Saved | None:
        try:
            return msgspec.json.decode(self._path(name).read_bytes(), type=Saved)
        except (OSError, msgspec.MsgspecError):
            return None


def _write(path: Path, saved: Saved) -> None:
    path.write_bytes(msgspec.json.encode(saved))


def _require_own(name: str, saved: Saved, key: str, role: Role) -> None:
    if role == "analyst" and saved.key != key:
        message = f"{name!r} is saved by {saved.by}; take another name, or ask them or ops"
        raise ForbiddenError(message)


def _view(name: str, saved: Saved) -> SavedView:
    return SavedView(
        name=name,
        query=saved.query,
        description=saved.description,
        parameters=dict(saved.parameters),
        by=saved.by,
        saved_at=saved.saved_at,
    )
