"""What the workers of a host say of themselves, left in the lake for a console that cannot see their status pages.

One small file a host, `incoming/hosts/{host}.json`: replaced when something changes that an operator should know, and
every `AGAIN_S` otherwise; removed when the host ends. A host that only falls silent leaves its last word.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from analytics.journal.status import Status, StatusError, is_alive, read
from analytics.lake.absence import Log
from analytics.lake.layout import INCOMING
from analytics.lake.store import Store, read_all

HOSTS = f"{INCOMING}/hosts"
AGAIN_S = 30.0
LOOK_S = 1.0
_US = 1_000_000


class WorkerPresence(msgspec.Struct, frozen=True, kw_only=True):
    """One living worker; the fields are those of its status page, counted since its start."""

    worker: str
    boot: str
    snapshot_epoch: int
    snapshot_version: int
    in_flight: int = 0
    split: int = 0
    anonymous: int = 0
    lost: int = 0
    journal_trouble: int = 0


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """The workers of a `host` at a moment: microseconds since 1970 UTC, by that host's clock."""

    host: str
    at: int
    workers: tuple[WorkerPresence, ...] = ()


class Reporter:
    """Tells of the workers whose status pages lie in `pages`; `clock` gives microseconds since 1970 UTC."""

    def __init__(self, lake: Store, host: str, pages: Path, log: Log, clock: Callable[[], int]) -> None:
        self._lake, self._host, self._pages = lake, host, pages
        self._log, self._clock = log, clock
        self._told: Presence | None = None
        self._is_failing = False

    def tick(self) -> None:
        """Look at the pages, and tell if it is time to; raises `OSError`."""
        now = Presence(host=self._host, at=self._clock(), workers=_living(self._pages))
        told = self._told
        if told is not None and _matters(told) == _matters(now) and now.at - told.at < AGAIN_S * _US:
            return
        if told is None:
            self._lake.prepare(HOSTS)
        self._lake.replace(_file(self._host), msgspec.json.encode(now))
        self._told = now

    def run(self, stop: threading.Event, look_s: float = LOOK_S) -> None:
        """Tick until told to stop, then take the word back."""
        while not stop.wait(look_s):
            try:
                self.tick()
            except OSError as error:
                if not self._is_failing:
                    self._log("warning", "presence_not_told", {"reason": str(error)})
                self._is_failing = True
            else:
                self._is_failing = False
        try:
            self._lake.remove(_file(self._host))
        except OSError as error:
            self._log("warning", "presence_not_removed", {"reason": str(error)})


def presences(lake: Store) -> list[Presence]:
    """Return what every host told last, in the order of their names; what cannot be read as such is passed over."""
    try:
        names = sorted(name for name in lake.names(HOSTS) if name.endswith(".json"))
    except FileNotFoundError:
        return []
    found = [_presence_in(body) for body in read_all(lake, [f"{HOSTS}/{name}" for name in names])]
    return [one for one in found if one is not None]


def forget(lake: Store, host: str) -> None:
    """Remove what a host told last."""
    lake.remove(_file(host))


def _presence_in(body: bytes | None) -> Presence | None:
    try:
        return None if body is None else msgspec.json.decode(body, type=Presence)
    except msgspec.MsgspecError:
        return None


def _file(host: str) -> str:
    return f"{HOSTS}/{host}.json"


def _living(pages: Path) -> tuple[WorkerPresence, ...]:
    found: list[WorkerPresence] = []
    for path in sorted(pages.glob("*.status")):
        try:
            status = read(path)
        except (OSError, StatusError):
            continue
        if is_alive(status):
            found.append(_presence_of(path.stem, status))
    return tuple(found)


def _presence_of(worker: str, status: Status) -> WorkerPresence:
    own = {name: getattr(status, name) for name in WorkerPresence.__struct_fields__ if name != "worker"}
    return WorkerPresence(worker=worker, **own)


def _matters(presence: Presence) -> list[WorkerPresence]:
    """Return what is told at once; mere counts can wait."""
    return [replace(one, in_flight=0, split=0, anonymous=0, lost=min(one.lost, 1)) for one in presence.workers]
