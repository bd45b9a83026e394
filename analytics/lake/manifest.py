"""What counts in a lake that is compacted: one small file that names all compacted ones, and those that they replace.

The law: a manifest is never changed. Each has a number and is put whole and durable under it; the highest counts, so
that one put late, or twice, changes nothing. Whoever reads the lake lists the loose files first and the manifest then:
a file that was replaced in between is in both, and the manifest says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import msgspec

from analytics.lake.elsewhere import Gap
from analytics.lake.layout import MERGED
from analytics.lake.store import Store

_START, _END = "manifest-", ".json"
_KEPT = 3
_TRIES = 5


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A compacted file: its rows, the lowest and the highest of their ids, and of their times (microseconds, UTC).

    `day` is the one that it is of, None while it is merged alone; `at` is when it came about.
    """

    name: str
    day: date | None
    rows: int
    size_bytes: int
    first_id: str
    last_id: str
    first_at: int
    last_at: int
    at: int


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one kind of rows: these files into one of each of `days`, and one of all other days.

    With `before` they are of days before that one, whose time is over: nothing becomes of them.
    """

    inputs: Sequence[str] = ()
    days: Sequence[date] = ()
    before: date | None = None


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """What was let go of one kind of rows since ever, and the day before which all are gone.

    `seqs` are the numbers of those let go, of boots that may still have others: nobody shall miss them.
    """

    before: date
    rows: int
    files: int
    seqs: Sequence[Gap] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What counts. By the folder where rows come in: `parts`, the compacted files, no two with a row in common.

    `replaced` files are in them already, or `expired`, and are removed some time after the moment that stands beside
    them. `plan` is what is being done: begun, perhaps not ended, and to be ended exactly so.
    """

    number: int = 0
    parts: Mapping[str, Sequence[Part]] = {}
    replaced: Mapping[str, int] = {}
    plan: Mapping[str, Work] | None = None
    expired: Mapping[str, Expired] = {}


class UnreadableManifestError(OSError):
    """The lake's manifest is none of ours."""


def read_manifest(store: Store) -> Manifest:
    """Return the manifest that counts now; one without anything where nothing was compacted yet.

    Raises:
        OSError: it cannot be read.
    """
    for _ in range(_TRIES):
        numbers = _numbers(store)
        if not numbers:
            return Manifest()
        body = store.read(_name(numbers[-1]))
        if body is not None:
            return _decoded(body, store.address(_name(numbers[-1])))
    message = f"the manifest in {store.address(MERGED)} changes faster than it can be read; try again"
    raise OSError(message)


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Put a manifest into place, durable, and remove those that nobody can be about to read any more."""
    body = msgspec.json.encode(manifest)

    def fill(path: Path) -> None:
        path.write_bytes(body)

    store.prepare(MERGED)
    store.place(_name(manifest.number), fill)
    for number in _numbers(store)[:-_KEPT]:
        store.remove(_name(number))


def _numbers(store: Store) -> list[int]:
    try:
        names = store.names(MERGED, _START)
    except FileNotFoundError:
        return []
    digits = [name.removeprefix(_START).removesuffix(_END) for name in names if name.endswith(_END)]
    return sorted(int(number) for number in digits if number.isdecimal())


def _name(number: int) -> str:
    return f"{MERGED}/{_START}{number:06d}{_END}"


def _decoded(body: bytes, address: str) -> Manifest:
    try:
        return msgspec.json.decode(body, type=Manifest)
    except msgspec.MsgspecError as error:
        message = f"{address} is not a manifest of this version: {error}"
        raise UnreadableManifestError(message) from error
