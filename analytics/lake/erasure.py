"""Who is to be erased: one small file an erasure, in the state directory. Owns how they are kept, and when one is over.

The law: an erasure stands until nothing of before it can come to the lake any more. As long as it stands its file has
the user's hash and the pseudonym, and nobody else's eyes; afterwards it has counts, and nothing that tells of whom.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from analytics.lake.directory import place

ERASURES = "erasures"
"""The folder in the state directory."""
_ENDING = ".json"

LATE_S = 60.0
"""How long after its beginning a request may wait before its first frame is in a journal, and content behind it."""
ELSEWHERE_S = 6 * 3600.0
"""How long the journals of other hosts, which nobody here can look into, are waited for."""
_US = 1_000_000


class Erasure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One user's rows until `asked_at` (microseconds UTC), of one application or of all, in the lake of this name.

    `user_hash` becomes `pseudonym`; both are None when it has `ended_at`. `requests` had the hash, `contents` are
    pieces of content that were removed; `rewritten` has for each file that was written anew how many pieces it lost,
    `files` is how many these are. `looked_at` is when the last look began that came to its end, `waits_for` the
    journal's segments of before.
    """

    id: str
    lake: str
    asked_at: int
    application: str | None = None
    user_hash: bytes | None = None
    pseudonym: bytes | None = None
    requests: int = 0
    contents: int = 0
    files: int = 0
    rewritten: Mapping[str, int] = {}
    looked_at: int | None = None
    waits_for: tuple[str, ...] | None = None
    ended_at: int | None = None


class Erasures:
    """The erasures in `folder`. Several processes may read them; who changes one holds the lake's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def every(self) -> list[Erasure]:
        """Return all, oldest first.

        Raises:
            OSError: one cannot be read, or is none of ours.
        """
        found = [self._read(path) for path in sorted(self._folder.glob(f"*{_ENDING}"))]
        return sorted(found, key=lambda one: (one.asked_at, one.id))

    def standing(self) -> list[Erasure]:
        """Return those that have not ended; raises as `every` does."""
        return [one for one in self.every() if one.ended_at is None]

    def keep(self, erasure: Erasure) -> None:
        """Put an erasure's file into place, durable, in the place of the former one.

        Raises:
            OSError: the disk refuses.
        """

        def fill(path: Path) -> None:
            path.touch(mode=0o600)
            path.write_bytes(msgspec.json.encode(erasure))

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place(self._folder / f"{erasure.id}{_ENDING}", fill)

    def _read(self, path: Path) -> Erasure:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Erasure)
        except msgspec.MsgspecError as error:
            message = f"{path} is no erasure of this version: {error}"
            raise OSError(message) from error


def waiting(erasure: Erasure, segments: Collection[str], now_at: int, *, is_stopped: bool) -> Erasure:
    """Return the erasure with the segments that it waits for, once all of before it are among those of now."""
    is_late = is_stopped or now_at >= erasure.asked_at + LATE_S * _US
    return replace(erasure, waits_for=tuple(segments)) if is_late and erasure.waits_for is None else erasure


def is_last_look(erasure: Erasure, segments: Collection[str], now_at: int, *, is_elsewhere: bool) -> bool:
    """Tell whether a look that begins now is the last one: what it does not find comes no more.

    A segment stays until every request opened in it is in the lake.
    """
    if erasure.waits_for is None or not set(erasure.waits_for).isdisjoint(segments):
        return False
    return not is_elsewhere or now_at >= erasure.asked_at + ELSEWHERE_S * _US


def ended(erasure: Erasure, at: int) -> Erasure:
    """Return the erasure as it is kept when it is over: how much it was, and not whose."""
    return replace(erasure, user_hash=None, pseudonym=None, rewritten={}, waits_for=None, ended_at=at)
