"""Follow all journals of this host and carry what they hold to the lake, until told to stop.

While an object store is away nothing is carried: segments stay in the journal, and the store is asked again for ever,
less and less often.

One shipper works on a journal at a time (a lock file sees to it): two would settle the same bytes under two names.
A worker is dead when none of its segments is locked and no new one has appeared since that was found out.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Protocol

from analytics.journal.frame import UnreadableSegmentError
from analytics.journal.recovery import sweep
from analytics.journal.segment import SegmentName, segments
from analytics.lake.absence import Absence, Log
from analytics.lake.batch import Counts, Way
from analytics.lake.beats import to_tell
from analytics.lake.directory import Directory
from analytics.lake.follower import Follower
from analytics.lake.host import named_host
from analytics.lake.layout import Heartbeat, Lake
from analytics.lake.parquet import ParquetWriter
from analytics.lake.settling import Boot, by_boot, dead_boots
from analytics.lake.store import Store, StoreAwayError
from analytics.record import Record

LOCK = "shipper.lock"
"""In a journal's directory: where it is, a shipper has worked."""
_SCRATCH = "shipper.ndjson"
_SWEEP_AFTER_S = 60.0
_HANGS_S = 5.0
"""How long a call may take before the store counts as away; each ends by itself after 15 s, and is repeated."""
_LAST_S = 15.0
_AGAIN_S = 1.0


class Stop(Protocol):
    """What tells the shipper to end: a `threading.Event`, or anything that waits like one."""

    def wait(self, timeout: float) -> bool:
        """Return True as soon as it is time to end, False after `timeout` seconds."""
        ...


class Observer(Protocol):
    """Who measures what passes. Nothing of it raises."""

    def look(self) -> None:
        """Read what is new in the journal, before any of it is removed."""
        ...

    def sealed(self, boot: Boot, ends: Mapping[int, int]) -> None:
        """Note up to where a boot's segments, by number, are in the lake."""
        ...

    def interrupted(self, records: Sequence[Record]) -> None:
        """Count requests that came to the lake without a record in the journal."""
        ...


class _Nobody:
    """Measures nothing."""

    def look(self) -> None:
        pass

    def sealed(self, boot: Boot, ends: Mapping[int, int]) -> None:
        pass

    def interrupted(self, records: Sequence[Record]) -> None:
        pass


class ShipperRunningError(RuntimeError):
    """Another shipper works on this journal."""


def wall_clock() -> int:
    """Return microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def _silent(_level: str, _event: str, _fields: dict[str, object]) -> None:
    return


class Shipper:
    """Owns the way from `journal_dir` to the `lake`; `counts` says what it did. Close it in the end.

    `clock` gives microseconds since 1970 UTC, `monotonic` seconds.

    Raises:
        ShipperRunningError: another one works on this journal.
        OSError: a directory cannot be made.
    """

    def __init__(
        self,
        journal_dir: Path,
        lake: Path | Store,
        clock: Callable[[], int] = wall_clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        log: Log = _silent,
        observer: Observer | None = None,
    ) -> None:
        journal_dir.mkdir(parents=True, exist_ok=True)
        self.counts = Counts()
        self._journal = journal_dir
        store = Directory(lake) if isinstance(lake, Path) else lake
        self._host, self._is_far = named_host(journal_dir), store.is_far
        self._lake = Lake(store, self._host)
        self._clock, self._monotonic, self._log = clock, monotonic, log
        self._observer = observer or _Nobody()
        self._absence = Absence(journal_dir, log, monotonic)
        self._lake.prepare()
        self._lock = _locked(journal_dir / LOCK)
        self._parquet = ParquetWriter(journal_dir / _SCRATCH, store)
        self._followers: dict[Boot, Follower] = {}
        self._refused: set[Boot] = set()
        self._expired_on: date | None = None
        self._beaten: dict[str, Heartbeat] = {}
        self._fresh_to: int | None = None

    @property
    def is_away(self) -> bool:
        """Tell whether the store was away when it was asked last, or does not answer now; any thread may ask."""
        return self._absence.is_on or self._lake.store.waits_s > _HANGS_S

    @property
    def beats(self) -> Mapping[str, Heartbeat]:
        """Return the last heartbeat that was written of each worker."""
        return dict(self._beaten)

    def tick(self) -> int:
        """Settle everything that lies in the journals now; return how many rows came to the lake.

        A worker whose journal or lake file fails is counted in `counts.failures` and begun again at the next tick.
        """
        before, began_at = self.counts.rows, self._clock()
        names = segments(self._journal)
        dead = dead_boots(self._journal, names)
        self._observer.look()
        try:
            self._lake.resume(self._today())
            self._ship(names, dead, began_at)
        except StoreAwayError as error:
            self.counts.failures += 1
            self._absence.go_on(error)
        else:
            self._absence.end()
        sweep(self._journal, older_than_s=_SWEEP_AFTER_S, now_s=self._clock() / 1_000_000)
        return self.counts.rows - before

    def run(self, stop: Stop, *, seal_every_s: float = 1.0) -> None:
        """Tick every `seal_every_s` until `stop` is set, then ship what is left.

        A store that is away then is asked again for `_LAST_S`: where the journal goes with its host, that is its last
        chance.
        """
        took_s = 0.0
        while not stop.wait(self._absence.pause_s(seal_every_s) - min(took_s, seal_every_s / 2)):
            began_s = self._monotonic()
            self.tick()
            took_s = self._monotonic() - began_s
        give_up_s = self._monotonic() + _LAST_S
        self.tick()
        while self._absence.is_on and self._monotonic() < give_up_s:
            time.sleep(_AGAIN_S)
            self.tick()

    def close(self) -> None:
        """Let go of the journal."""
        self._parquet.close()
        os.close(self._lock)

    def _ship(self, names: list[SegmentName], dead: set[Boot], began_at: int) -> None:
        now_s, failures = self._monotonic(), self.counts.failures
        followed = by_boot(names)
        for boot, own in followed:
            self._advance(boot, own, is_dead=boot in dead, now_s=now_s)
        for boot in self._followers.keys() - {boot for boot, _ in followed}:
            del self._followers[boot]
        if self.counts.failures == failures:
            self._fresh_to = began_at
        self._expire()
        self._beat(dead)

    def _advance(self, boot: Boot, own: list[SegmentName], *, is_dead: bool, now_s: float) -> None:
        try:
            follower = self._followers.get(boot) or self._follower(boot)
            follower.advance(own, is_dead=is_dead, now_s=now_s, today=self._today())
            self._observer.sealed(boot, follower.ends)
        except UnreadableSegmentError as error:
            self._followers.pop(boot, None)
            if boot not in self._refused:
                self._refused.add(boot)
                self._log("error", "segment_unreadable", {"worker": boot[0], "boot": boot[1], "reason": str(error)})
        except StoreAwayError:
            self._followers.pop(boot, None)
            raise
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
        except StoreAwayError:
            raise
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
        follower = Follower(boot, way, self._observer.interrupted)
        self._followers[boot] = follower
        return follower

    def _beat(self, dead: set[Boot]) -> None:
        """Write one heartbeat a worker; where a dead boot's journal still lies about, the living one's counts."""
        latest: dict[str, Follower] = {}
        for boot, follower in sorted(self._followers.items(), key=lambda item: item[0] not in dead):
            latest[boot[0]] = follower
        beats = {worker: self._beat_of(worker, follower) for worker, follower in latest.items()}
        for worker in to_tell(beats, self._beaten, is_far=self._is_far):
            try:
                self._tell(beats[worker])
            except StoreAwayError:
                raise
            except OSError as error:
                self.counts.failures += 1
                self._log("error", "heartbeat_failed", {"worker": worker, "reason": str(error)})

    def _beat_of(self, worker: str, follower: Follower) -> Heartbeat:
        return Heartbeat(
            worker=worker,
            boot=follower.boot[1],
            last_seq=follower.last_seq,
            at=self._clock(),
            host=self._host,
            settled_to=follower.settled_to,
            fresh_to=self._fresh_to,
            sealed=follower.ends,
        )

    def _tell(self, beat: Heartbeat) -> None:
        self._lake.beat(beat)
        if beat.worker not in self._beaten and not self._is_far:
            self._lake.forget_unnamed(beat.worker)
        self._beaten[beat.worker] = beat


def _locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        message = f"another shipper works on {path.parent}: stop it, or use another state directory"
        raise ShipperRunningError(message) from None
    return fd
