"""Follow all journals of this host and carry what they hold to the lake, until told to stop.

One shipper works on a journal at a time (a lock file sees to it): two would settle the same bytes under two names.
A worker is dead when none of its segments is locked and no new one has appeared since that was found out.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Protocol

from analytics.journal.frame import UnreadableSegmentError
from analytics.journal.recovery import sweep
from analytics.journal.segment import SegmentName, is_live, segments
from analytics.lake.batch import Counts, Way
from analytics.lake.follower import Follower
from analytics.lake.layout import Heartbeat, Lake
from analytics.lake.parquet import ParquetWriter

Log = Callable[[str, str, dict[str, object]], None]
"""Takes a level, an event and its fields."""

Boot = tuple[str, str]

_LOCK = "shipper.lock"
_SCRATCH = "shipper.ndjson"
_SWEEP_AFTER_S = 60.0


class Stop(Protocol):
    """What tells the shipper to end: a `threading.Event`, or anything that waits like one."""

    def wait(self, timeout: float) -> bool:
        """Return True as soon as it is time to end, False after `timeout` seconds."""
        ...


class ShipperRunningError(RuntimeError):
    """Another shipper works on this journal."""


def wall_clock() -> int:
    """Return microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def _silent(_level: str, _event: str, _fields: dict[str, object]) -> None:
    return


class Shipper:
    """Owns the way from `journal_dir` to `lake_dir`; `counts` says what it did. Close it in the end.

    `clock` gives microseconds since 1970 UTC, `monotonic` seconds.

    Raises:
        ShipperRunningError: another one works on this journal.
        OSError: a directory cannot be made.
    """

    def __init__(
        self,
        journal_dir: Path,
        lake_dir: Path,
        clock: Callable[[], int] = wall_clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        log: Log = _silent,
    ) -> None:
        journal_dir.mkdir(parents=True, exist_ok=True)
        self.counts = Counts()
        self._journal, self._lake = journal_dir, Lake(lake_dir)
        self._clock, self._monotonic, self._log = clock, monotonic, log
        self._lake.prepare()
        self._lock = _locked(journal_dir / _LOCK)
        self._parquet = ParquetWriter(journal_dir / _SCRATCH)
        self._followers: dict[Boot, Follower] = {}
        self._refused: set[Boot] = set()
        self._expired_on: date | None = None

    def tick(self) -> int:
        """Settle everything that lies in the journals now; return how many rows came to the lake.

        A worker whose journal or lake file fails is counted in `counts.failures` and begun again at the next tick.
        """
        before = self.counts.rows
        names = segments(self._journal)
        dead = self._dead(names)
        now_s = self._monotonic()
        for boot, own in _by_boot(names):
            self._advance(boot, own, is_dead=boot in dead, now_s=now_s)
        for boot in self._followers.keys() - {boot for boot, _ in _by_boot(names)}:
            del self._followers[boot]
        self._expire()
        self._beat(dead)
        sweep(self._journal, older_than_s=_SWEEP_AFTER_S, now_s=self._clock() / 1_000_000)
        return self.counts.rows - before

    def run(self, stop: Stop, *, seal_every_s: float = 1.0) -> None:
        """Tick every `seal_every_s` until `stop` is set, then ship what is left."""
        while not stop.wait(seal_every_s):
            self.tick()
        self.tick()

    def close(self) -> None:
        """Let go of the journal."""
        self._parquet.close()
        os.close(self._lock)

    def _advance(self, boot: Boot, own: list[SegmentName], *, is_dead: bool, now_s: float) -> None:
        try:
            follower = self._followers.get(boot) or self._follower(boot)
            follower.advance(own, is_dead=is_dead, now_s=now_s, today=self._today())
        except UnreadableSegmentError as error:
            self._followers.pop(boot, None)
            if boot not in self._refused:
                self._refused.add(boot)
                self._log("error", "segment_unreadable", {"worker": boot[0], "boot": boot[1], "reason": str(error)})
        except OSError as error:
            self._followers.pop(boot, None)
            self.counts.failures += 1
            self._log("error", "shipping_failed", {"worker": boot[0], "boot": boot[1], "reason": str(error)})

    def _expire(self) -> None:
        """Remove content whose time is over, once for each day."""
        today = self._today()
        if today == self._expired_on:
            return
        try:
            removed = self._lake.remove_expired(today)
        except OSError as error:
            self.counts.failures += 1
            self._log("error", "content_not_removed", {"reason": str(error)})
            return
        self._expired_on = today
        self.counts.expired += removed
        if removed:
            self._log("info", "content_removed", {"files": removed, "expired_before": today.isoformat()})

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock() / 1_000_000, UTC).date()

    def _follower(self, boot: Boot) -> Follower:
        way = Way(journal=self._journal, lake=self._lake, parquet=self._parquet, counts=self.counts)
        follower = Follower(boot, way)
        self._followers[boot] = follower
        return follower

    def _dead(self, names: list[SegmentName]) -> set[Boot]:
        unlocked = {
            boot: own
            for boot, own in _by_boot(names)
            if not any(is_live(self._journal / name.file_name) for name in own)
        }
        again = dict(_by_boot(segments(self._journal)))
        return {boot for boot, own in unlocked.items() if again.get(boot) == own}

    def _beat(self, dead: set[Boot]) -> None:
        """Write one heartbeat a worker; where a dead boot's journal still lies about, the living one's counts."""
        latest: dict[str, Follower] = {}
        for boot, follower in sorted(self._followers.items(), key=lambda item: item[0] not in dead):
            latest[boot[0]] = follower
        for worker, follower in latest.items():
            heartbeat = Heartbeat(worker=worker, boot=follower.boot[1], last_seq=follower.last_seq, at=self._clock())
            try:
                self._lake.beat(heartbeat)
            except OSError as error:
                self.counts.failures += 1
                self._log("error", "heartbeat_failed", {"worker": worker, "reason": str(error)})


def _by_boot(names: Iterable[SegmentName]) -> list[tuple[Boot, list[SegmentName]]]:
    return [(boot, list(own)) for boot, own in groupby(names, key=lambda name: (name.worker, name.boot))]


def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        message = f"another shipper works on {path.parent}: stop it, or use another state directory"
        raise ShipperRunningError(message) from None
    return fd
