"""Where things lie in the lake, and how a file comes to lie there: whole, durable and under a name that says all.

A sealed file's name carries the byte range of the journal that it settles; so the lake itself says what it has.

    incoming/{worker}-{boot}-{number}-{start}-{end}.parquet      records that closed in these bytes of this segment
    incoming/{worker}-{boot}-interrupted-{first_seq}.parquet     requests that never closed
    incoming/feedback/{worker}-{boot}-{number}-{start}-{end}.parquet     feedback received in these bytes
    incoming/heartbeats/{worker}.json                            how far a worker's records have come
    content/expires={date}/{worker}-{boot}-{number}-{start}-{end}.parquet    content that may go after that day (UTC)
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import msgspec

from analytics.journal.recovery import sync_directory

INCOMING = "incoming"
FEEDBACK = f"{INCOMING}/feedback"
CONTENT = "content"
"""Folders of the lake: where the files of requests lie, those of feedback, and below it those of content."""
_EXPIRES = "expires="
HEARTBEATS = "heartbeats"
UNFINISHED_SUFFIX = ".tmp"
_RANGE = re.compile(r"(?P<number>\d{6,})-(?P<start>\d+)-(?P<end>\d+)\.parquet")
_INTERRUPTED = re.compile(r"interrupted-\d+\.parquet")


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """How far a worker has come: `last_seq` is the highest sequence number in the lake; `at` is microseconds, UTC."""

    worker: str
    boot: str
    last_seq: int
    at: int


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What the lake has of one boot: for each segment the end of its sealed bytes; the files of interrupted ones."""

    ends: dict[int, int]
    interrupted: list[Path]


class Lake:
    """The paths of a lake in a directory.

    `OSError` comes through as it is: the disk is full, or the directory is not ours to write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / INCOMING
        self.heartbeats = self.incoming / HEARTBEATS

    def prepare(self) -> None:
        """Make the directories."""
        self.heartbeats.mkdir(parents=True, exist_ok=True)
        (self.root / FEEDBACK).mkdir(exist_ok=True)

    def content_folder(self, expires_on: date) -> str:
        """Return the folder for content that expires on a day, and make it; nobody but the owner may look inside."""
        folder = self.root / CONTENT
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / f"{_EXPIRES}{expires_on.isoformat()}").mkdir(mode=0o700, exist_ok=True)
        return f"{CONTENT}/{_EXPIRES}{expires_on.isoformat()}"

    def remove_expired(self, today: date) -> int:
        """Remove the content whose last day is over, and return how many files that were."""
        removed = 0
        for folder in (self.root / CONTENT).glob(f"{_EXPIRES}*"):
            try:
                last_day = date.fromisoformat(folder.name.removeprefix(_EXPIRES))
            except ValueError:
                continue
            if last_day < today:
                for path in folder.iterdir():
                    path.unlink(missing_ok=True)
                    removed += 1
                folder.rmdir()
        return removed

    def files(self, folder: str = INCOMING) -> list[Path]:
        """Return every Parquet file of a folder."""
        return sorted((self.root / folder).glob("*.parquet"))

    def range_file(self, boot: tuple[str, str], number: int, start: int, end: int, folder: str = INCOMING) -> Path:
        """Return the file for what a folder takes of a segment's bytes `[start, end)`."""
        return self.root / folder / f"{boot[0]}-{boot[1]}-{number:06d}-{start}-{end}.parquet"

    def interrupted_file(self, boot: tuple[str, str], first_seq: int) -> Path:
        """Return the file for interrupted requests of which `first_seq` is the lowest: a request is in one at most."""
        return self.incoming / f"{boot[0]}-{boot[1]}-interrupted-{first_seq}.parquet"

    def sealed(self, boot: tuple[str, str], folder: str = INCOMING) -> Sealed:
        """Read from the names of a folder's files what it has of a boot, and remove what was left unfinished."""
        ends: dict[int, int] = {}
        interrupted: list[Path] = []
        for path, rest in self._named(folder, f"{boot[0]}-{boot[1]}-"):
            name = rest.removesuffix(UNFINISHED_SUFFIX)
            found = _RANGE.fullmatch(name)
            if not found and not _INTERRUPTED.fullmatch(name):
                continue
            if name != rest:
                path.unlink(missing_ok=True)
            elif found:
                number = int(found["number"])
                ends[number] = max(ends.get(number, 0), int(found["end"]))
            else:
                interrupted.append(path)
        return Sealed(ends=ends, interrupted=sorted(interrupted))

    def beat(self, heartbeat: Heartbeat) -> None:
        """Replace a worker's heartbeat."""
        target = self.heartbeats / f"{heartbeat.worker}.json"
        unfinished = target.with_name(target.name + UNFINISHED_SUFFIX)
        unfinished.write_bytes(msgspec.json.encode(heartbeat))
        unfinished.replace(target)

    def heartbeat(self, worker: str) -> Heartbeat | None:
        """Return a worker's last heartbeat; None if there is none that can be read."""
        try:
            return msgspec.json.decode((self.heartbeats / f"{worker}.json").read_bytes(), type=Heartbeat)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None

    def all_heartbeats(self) -> list[Heartbeat]:
        """Return every worker's last heartbeat, in the order of their names."""
        beats = [self.heartbeat(path.stem) for path in sorted(self.heartbeats.glob("*.json"))]
        return [beat for beat in beats if beat is not None]

    def _named(self, folder: str, start: str) -> Iterator[tuple[Path, str]]:
        with os.scandir(self.root / folder) as entries:
            for entry in entries:
                if entry.name.startswith(start):
                    yield Path(entry.path), entry.name[len(start) :]


def lake_directory(url: str) -> Path:
    """Return the directory that a lake's address names: a path, or `file:///path`."""
    return Path(unquote(url.removeprefix("file://")) if url.startswith("file://") else url)


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
