"""A worker's status page: what it wants known without a record, in memory that other processes map.

One process writes, any number read. Each value is eight aligned bytes, stored at once; a counter that is odd while a
group of values changes keeps a reader from taking half of the group. Nothing here is durable or exact to the moment.
A page without a file, because the disk refused one, counts all the same; it can be given its file later.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from analytics.journal.writer import Trouble

MAGIC = int.from_bytes(b"TNSTAT03", "little")
_BOOT_BYTES = 64
_CELLS = (
    "pid",
    "requests",
    "in_flight",
    "lost",
    "snapshot_epoch",
    "snapshot_version",
    "snapshot_taken_at",
    "config_source",
    "anonymous",
    "split",
    "updated_at",
    "journal_trouble",
    "content_lost",
    "stale",
)
TROUBLES: tuple[Trouble, ...] = ("none", "waiting", "losing")
"""`journal_trouble` is the place in this tuple."""
Source = Literal["ledger", "last_good", "redis", "lake", "default"]
"""Where a worker's decisions came from: the ledger's file, or Redis in a fleet; the last good snapshot's copy on this
host's disk, or in the lake; by `default`, from nowhere: everybody is served by base."""
SOURCES: tuple[Source, ...] = ("ledger", "last_good", "redis", "lake", "default")
"""`config_source` is the place in this tuple."""
_layout = struct.Struct(f"<2Q{len(_CELLS)}q{_BOOT_BYTES}s")
_CHANGES, _FIRST = 1, 2
_TRIES = 100
_PAUSE_S = 0.0005


class StatusError(ValueError):
    """A file that is no status page of this version."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a page. `*_at` are microseconds since 1970 UTC; counts are since the worker's start.

    `in_flight`: requests being answered; `lost`: frames that the journal will never hold; `config_source`: the worker's
    code for where its snapshot came from; `split`: requests that a flag's percentage decided; `anonymous`: those of
    them without a user key; `journal_trouble`: 0 none, 1 the disk refuses and frames wait in memory, 2 there is no
    room for more and frames are lost; `content_lost`: pieces of content that are nowhere; `stale`: 1 while the source
    of snapshots has not answered for some seconds.
    """

    boot: str
    pid: int
    requests: int = 0
    in_flight: int = 0
    lost: int = 0
    snapshot_epoch: int = 0
    snapshot_version: int = 0
    snapshot_taken_at: int = 0
    config_source: int = 0
    anonymous: int = 0
    split: int = 0
    updated_at: int = 0
    journal_trouble: int = 0
    content_lost: int = 0
    stale: int = 0


class _Cell:
    """One value of the page, read and assigned as an attribute."""

    def __init__(self, at: int) -> None:
        self._at = at

    def __get__(self, page: StatusPage, owner: type[StatusPage]) -> int:
        return page.cells[self._at]

    def __set__(self, page: StatusPage, value: int) -> None:
        page.cells[self._at] = value


class StatusPage:
    """The writer's side: `page.in_flight += 1`; values that belong together go through `change`."""

    requests = _Cell(_FIRST + 1)
    in_flight = _Cell(_FIRST + 2)
    lost = _Cell(_FIRST + 3)
    anonymous = _Cell(_FIRST + 8)
    split = _Cell(_FIRST + 9)
    updated_at = _Cell(_FIRST + 10)
    journal_trouble = _Cell(_FIRST + 11)
    content_lost = _Cell(_FIRST + 12)

    def __init__(self, page: mmap.mmap) -> None:
        self._take(page)

    def _take(self, page: mmap.mmap) -> None:
        self._page = page
        self.cells = memoryview(page)[: 8 * (_FIRST + len(_CELLS))].cast("q")

    @classmethod
    def create(cls, path: Path, *, boot: str, pid: int) -> StatusPage:
        """Make the page and its file, all counts 0; raises as `publish`."""
        page = cls.unpublished(boot=boot, pid=pid)
        page.publish(path)
        return page

    @classmethod
    def unpublished(cls, *, boot: str, pid: int) -> StatusPage:
        """Make a page in this process's own memory, which nobody else can read yet."""
        page = mmap.mmap(-1, _layout.size)
        page[:] = _layout.pack(MAGIC, 0, pid, *([0] * (len(_CELLS) - 1)), boot.encode())
        return cls(page)

    def publish(self, path: Path) -> None:
        """Move the page, with its counts, to a file, which is replaced: a reader of the former page keeps what it saw.

        Raises:
            OSError: the file cannot be made; the page stays as it was.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".tmp")
        try:
            unfinished.write_bytes(self._page[:])
            with unfinished.open("rb+") as file:
                page = mmap.mmap(file.fileno(), _layout.size)
            unfinished.replace(path)
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
        self.close()
        self._take(page)

    def change(self, **values: int) -> None:
        """Assign several values of `Status` by name so that a reader sees all of them or none."""
        self.cells[_CHANGES] += 1
        for name, value in values.items():
            self.cells[_FIRST + _CELLS.index(name)] = value
        self.cells[_CHANGES] += 1

    def close(self) -> None:
        """Unmap the page; the file stays."""
        self.cells.release()
        self._page.close()


def read(path: Path) -> Status:
    """Look at another process's page.

    Raises:
        FileNotFoundError: there is none.
        StatusError: the file is no page of this version.
    """
    with path.open("rb") as file:
        if path.stat().st_size != _layout.size:
            message = f"{path} is no status page of this version: restart the worker that wrote it"
            raise StatusError(message)
        with mmap.mmap(file.fileno(), _layout.size, access=mmap.ACCESS_READ) as page:
            copied = _settled(page)
    magic, _, *values, boot = _layout.unpack(copied)
    if magic != MAGIC:
        message = f"{path} is no status page of this version: restart the worker that wrote it"
        raise StatusError(message)
    return Status(boot=boot.rstrip(b"\0").decode(), **dict(zip(_CELLS, values, strict=True)))


def is_alive(status: Status) -> bool:
    """Tell whether the process that writes this page lives, as seen from its own host."""
    try:
        os.kill(status.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _settled(page: mmap.mmap) -> bytes:
    """Copy a page that did not change meanwhile; one that never settles was left by a writer that died changing it."""
    copied = page[:]
    for _ in range(_TRIES):
        before, copied, after = page[8:16], page[:], page[8:16]
        if before == after and not before[0] & 1:
            break
        time.sleep(_PAUSE_S)
    return copied
