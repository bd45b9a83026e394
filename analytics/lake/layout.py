"""Where things lie in the lake, whatever store keeps it: under names that say all.

A sealed file's name carries the byte range of the journal that it settles; so the lake itself says what it has.

    incoming/{worker}-{boot}-{number}-{start}-{end}.parquet      records that closed in these bytes of this segment
    incoming/{worker}-{boot}-interrupted-{first_seq}.parquet     requests that never closed
    incoming/feedback/{worker}-{boot}-{number}-{start}-{end}.parquet     feedback received in these bytes
    incoming/heartbeats/{host}-{worker}.json                     how far a worker's records have come
    content/expires={date}/{worker}-{boot}-{number}-{start}-{end}.parquet    content that may go after that day (UTC)
    requests/date={date}/{number}.parquet                        requests of that day (UTC), compacted, each once
    feedback/date={date}/{number}.parquet                        feedback received on that day
    rollups/date={date}/{number}.parquet                         hourly sums over the requests in the file of this name
    merged/{number}-requests.parquet                             what was merged, and waits for its day to be whole
    merged/{number}-feedback.parquet
    merged/manifest-{number}.json                                what counts of all these: the highest number's
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import msgspec

from analytics.lake.directory import UNFINISHED_SUFFIX, Directory
from analytics.lake.store import Store, read_all

INCOMING = "incoming"
FEEDBACK = f"{INCOMING}/feedback"
CONTENT = "content"
"""Folders of the lake: where the shipper puts requests, feedback, and content by the day it expires on."""
DAYS = {INCOMING: "requests", FEEDBACK: "feedback"}
"""By the folder where rows come in, the one where they lie by day in the end."""
DAY = "date="
MERGED = "merged"
ROLLUPS = "rollups"
_EXPIRES = "expires="
HEARTBEATS = f"{INCOMING}/heartbeats"
_RANGE = re.compile(r"(?P<number>\d{6,})-(?P<start>\d+)-(?P<end>\d+)\.parquet")
_INTERRUPTED = re.compile(r"interrupted-\d+\.parquet")


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a worker has come: `last_seq` is the highest sequence number in the lake; `at` is microseconds, UTC.

    `host` is whose worker it is; all requests up to the number `settled_to` are in the lake, and what is above may
    still be in that host's journal. Everything that the host had recorded by `fresh_to` is in the lake, whichever of
    its workers did; `sealed` is of this boot alone: by a segment's number up to where its frames are in the lake, or
    wait for nothing but a close. Heartbeats of earlier versions have not all of these.
    """

    worker: str
    boot: str
    last_seq: int
    at: int
    host: str | None = None
    settled_to: int | None = None
    fresh_to: int | None = None
    sealed: dict[int, int] = {}


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake has of one boot: for each segment the end of its sealed bytes; the files of interrupted ones."""

    ends: dict[int, int]
    interrupted: list[str]


class Lake:
    """What lies where in a lake, by names; a path as `root` is a directory's. `host` is who writes heartbeats.

    `OSError` comes through as it is: the disk is full, the directory is not ours to write, or the store is away.
    """

    def __init__(self, root: Path | Store, host: str | None = None) -> None:
        self.store: Store = Directory(root) if isinstance(root, Path) else root
        self._host = host

    def is_there(self) -> bool:
        """Tell whether anything was ever put there."""
        return self.store.exists(INCOMING) or self.store.exists(MERGED)

    def prepare(self) -> None:
        """Make the folders."""
        for folder in (HEARTBEATS, FEEDBACK):
            self.store.prepare(folder)

    def resume(self, today: date) -> None:
        """Bring into place what was on its way when it failed, but for content whose last day is over."""

        def is_over(name: str) -> bool:
            folder, _, rest = name.partition("/")
            last_day = _last_day(rest.partition("/")[0]) if folder == CONTENT else None
            return last_day is not None and last_day < today

        self.store.resume(is_over)

    def content_folder(self, expires_on: date) -> str:
        """Return the folder for content that expires on a day, and make it; nobody but the owner may look inside."""
        folder = f"{CONTENT}/{_EXPIRES}{expires_on.isoformat()}"
        self.store.prepare(folder, private=True)
        return folder

    def remove_expired(self, today: date) -> int:
        """Remove the content whose last day is over, and return how many files that were."""
        days = {folder: _last_day(folder) for folder in self.store.folders(CONTENT)}
        over = [folder for folder, last_day in days.items() if last_day is not None and last_day < today]
        return sum(self.store.remove_folder(f"{CONTENT}/{folder}") for folder in over)

    def files(self, folder: str = INCOMING) -> Mapping[str, int]:
        """Return the bytes of every Parquet file of a folder by its name."""
        return self.store.sizes(folder)

    def range_file(self, boot: tuple[str, str], number: int, start: int, end: int, folder: str = INCOMING) -> str:
        """Return the file for what a folder takes of a segment's bytes `[start, end)`."""
        return f"{folder}/{boot[0]}-{boot[1]}-{number:06d}-{start}-{end}.parquet"

    def interrupted_file(self, boot: tuple[str, str], first_seq: int) -> str:
        """Return the file for interrupted requests of which `first_seq` is the lowest: a request is in one at most."""
        return f"{INCOMING}/{boot[0]}-{boot[1]}-interrupted-{first_seq}.parquet"

    def sealed(self, boot: tuple[str, str], folder: str = INCOMING) -> Sealed:
        """Read from the names of a folder's files what it has of a boot, and remove what was left unfinished."""
        ends: dict[int, int] = {}
        interrupted: list[str] = []
        start = f"{boot[0]}-{boot[1]}-"
        for whole in self.store.names(folder, start):
            rest = whole[len(start) :]
            name = rest.removesuffix(UNFINISHED_SUFFIX)
            found = _RANGE.fullmatch(name)
            if not found and not _INTERRUPTED.fullmatch(name):
                continue
            if name != rest:
                self.store.remove(f"{folder}/{whole}")
            elif found:
                number = int(found["number"])
                ends[number] = max(ends.get(number, 0), int(found["end"]))
            else:
                interrupted.append(f"{folder}/{whole}")
        return Sealed(ends=ends, interrupted=sorted(interrupted))

    def beat(self, heartbeat: Heartbeat) -> None:
        """Replace a worker's heartbeat."""
        self.store.replace(self._heartbeat_file(heartbeat.worker), msgspec.json.encode(heartbeat))

    def heartbeat(self, worker: str) -> Heartbeat | None:
        """Return the last heartbeat of this host's worker; None if there is none that can be read.

        One without a host's name is of an earlier version, and maybe of another host: who reads it compares boots.
        """
        files = self._heartbeat_file(worker), _unnamed_file(worker)
        return next((beat for name in files if (beat := _beat_in(self.store.read(name)))), None)

    def forget_unnamed(self, worker: str) -> None:
        """Remove the heartbeat that an earlier version wrote without its host's name."""
        self.store.remove(_unnamed_file(worker))

    def all_heartbeats(self) -> list[Heartbeat]:
        """Return every worker's last heartbeat, in the order of their names."""
        try:
            names = [name for name in self.store.names(HEARTBEATS) if name.endswith(".json")]
        except FileNotFoundError:
            return []
        bodies = read_all(self.store, [f"{HEARTBEATS}/{name}" for name in sorted(names)])
        beats = [_beat_in(body) for body in bodies]
        return [beat for beat in beats if beat is not None]

    def _heartbeat_file(self, worker: str) -> str:
        return _unnamed_file(worker) if self._host is None else f"{HEARTBEATS}/{self._host}-{worker}.json"


def _beat_in(body: bytes | None) -> Heartbeat | None:
    try:
        return None if body is None else msgspec.json.decode(body, type=Heartbeat)
    except msgspec.MsgspecError:
        return None


def _unnamed_file(worker: str) -> str:
    return f"{HEARTBEATS}/{worker}.json"


def _last_day(folder: str) -> date | None:
    """Return the last day of a folder of content; None if it is none."""
    try:
        return date.fromisoformat(folder.removeprefix(_EXPIRES)) if folder.startswith(_EXPIRES) else None
    except ValueError:
        return None
