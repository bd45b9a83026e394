"""Keeps published copies fresh while somebody asks, and removes them when nobody does. Owns the folder they lie in.

A question gets a copy that is not older than `refresh_s`, nor than `_SPARING` times as long as it took to make: so a
small lake's is fresh, and a large one's costs little of a processor. One past half of that is renewed beside the
question, so that who goes on asking never waits; the first question, and one after a pause, waits for its copy. What
nobody asked for an hour is removed, and everything at the end: a copy outlives neither the retention of the lake nor an
erasure for long.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread, Timer

import msgspec

from analytics.freshness import UNKNOWN, Freshness
from analytics.lake.place import Place
from analytics.warehouse.edition import Edition

IDLE_S = 3600.0
LIMIT_S = 620.0
"""The process that makes a copy gives up before."""
_MAKER = "analytics.warehouse.published"
_SPARING = 30
"""So making copies takes a fifteenth of one processor at most, while somebody goes on asking."""


class NoCopyError(RuntimeError):
    """A copy could not be made, or takes too long; the reason is the lake's."""


class CopyRules(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests a copy has: those of the last days, at most so many; and how old it may be."""

    days: int
    max_rows: int
    refresh_s: float


class Copies:
    """The copies of one lake in `folder`, which is nobody else's; `clock` tells microseconds since 1970 UTC.

    `journal` is where this host has what is not in that lake yet; `monotonic` gives seconds. May be called from any
    thread. Close it in the end.
    """

    def __init__(
        self,
        folder: Path,
        lake: Place,
        clock: Callable[[], int],
        *,
        journal: Path | None = None,
        idle_s: float = IDLE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._lake, self._journal = lake, journal
        self._monotonic = monotonic
        self._made_s: dict[Path, float] = {}
        self._freshness: dict[tuple[Path, int], Freshness] = {}
        self._clock = clock
        self._idle_s = idle_s
        self._lock = Lock()
        self._making: dict[Path, Lock] = {}
        self._renewing: dict[Path, Thread] = {}
        self._makers: set[subprocess.Popen[bytes]] = set()
        self._idle: Timer | None = None
        self._is_closed = False
        self._discarded_at = 0
        shutil.rmtree(folder, ignore_errors=True)

    def fresh(self, rules: CopyRules, applications: tuple[str, ...] | None = None) -> Path:
        """Return a copy of these applications' rows (None: of all), made now if there is none that is young enough.

        Raises:
            NoCopyError: the lake cannot be read, or the disk refuses.
        """
        path = self._folder / _name(applications)
        self._stop_counting()
        try:
            age_s, most_s = self._age_s(path), self._most_s(path, rules)
            if age_s > most_s:
                self._make(path, rules, applications, older_than_s=most_s)
            elif age_s > most_s / 2:
                self._renew(path, rules, applications, older_than_s=most_s / 2)
        finally:
            self._count_down()
        return path

    def freshness(self, path: Path, as_of: int) -> Freshness:
        """Return how fresh the copy was that was made as of then."""
        return self._freshness.get((path, as_of), UNKNOWN)

    def discard(self) -> None:
        """Remove all copies, also those that are made now; who has one open goes on reading it."""
        self._discarded_at = self._clock()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Stop what is made, and remove all copies."""
        with self._lock:
            self._is_closed = True
            for maker in self._makers:
                maker.kill()
            if self._idle is not None:
                self._idle.cancel()
            renewing = list(self._renewing.values())
        for thread in renewing:
            thread.join()
        self.discard()

    def _age_s(self, path: Path) -> float:
        try:
            return (self._clock() - path.stat().st_mtime_ns // 1000) / 1_000_000
        except FileNotFoundError:
            return float("inf")

    def _most_s(self, path: Path, rules: CopyRules) -> float:
        """Return how old a copy may be."""
        return min(rules.refresh_s, _SPARING * self._made_s.get(path, rules.refresh_s))

    def _renew(
        self, path: Path, rules: CopyRules, applications: tuple[str, ...] | None, *, older_than_s: float
    ) -> None:
        def renew() -> None:
            try:
                self._make(path, rules, applications, older_than_s=older_than_s)
            except NoCopyError:
                pass  # whoever asks when the present copy is too old is told why
            finally:
                with self._lock:
                    self._renewing.pop(path, None)

        with self._lock:
            if path in self._renewing or self._is_closed:
                return
            thread = Thread(target=renew, name="renew-copy", daemon=True)
            self._renewing[path] = thread
            thread.start()

    def _make(self, path: Path, rules: CopyRules, applications: tuple[str, ...] | None, *, older_than_s: float) -> None:
        with self._lock:
            turn = self._making.setdefault(path, Lock())
        with turn:
            while self._age_s(path) > older_than_s:
                edition = Edition(
                    lake=self._lake,
                    target=str(path),
                    as_of=self._clock(),
                    days=rules.days,
                    max_rows=rules.max_rows,
                    applications=applications,
                    journal=None if self._journal is None else str(self._journal),
                )
                try:
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                except OSError as error:
                    message = f"no place for a copy: {error}"
                    raise NoCopyError(message) from error
                if self._ordered(path, edition):
                    return
                path.unlink(missing_ok=True)

    def _ordered(self, path: Path, edition: Edition) -> bool:
        """Have a copy made, and tell whether it is still wanted: not if all were discarded meanwhile."""
        began_s = self._monotonic()
        try:
            self._remember(path, edition.as_of, self._order(edition))
        except NoCopyError:
            if edition.as_of >= self._discarded_at:
                raise
        self._made_s[path] = self._monotonic() - began_s
        return edition.as_of >= self._discarded_at

    def _remember(self, path: Path, as_of: int, freshness: Freshness) -> None:
        """Keep what is known of a copy and the one before it, which may be asked still."""
        *_, before = (None, *(known for known in self._freshness if known[0] == path))
        kept = {known: told for known, told in self._freshness.items() if known[0] != path or known == before}
        self._freshness = {**kept, (path, as_of): freshness}

    def _order(self, edition: Edition) -> Freshness:
        with self._lock:
            if self._is_closed:
                message = "the console ends"
                raise NoCopyError(message)
            maker = subprocess.Popen(
                [sys.executable, "-m", _MAKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,
            )
            self._makers.add(maker)
        try:
            made, told = maker.communicate(msgspec.json.encode(edition), timeout=LIMIT_S)
        except subprocess.TimeoutExpired as error:
            message = f"the copy was not made within {LIMIT_S:g} s; set [sql] days or max_rows lower"
            raise NoCopyError(message) from error
        finally:
            maker.kill()
            maker.wait()
            with self._lock:
                self._makers.discard(maker)
        if maker.returncode:
            lines = told.decode("utf-8", "replace").strip().splitlines()
            message = f"no copy could be made: {lines[-1] if lines else f'its process ended with {maker.returncode}'}"
            raise NoCopyError(message)
        return msgspec.json.decode(made, type=Freshness)

    def _count_down(self) -> None:
        """Begin the hour after which copies that nobody asks are removed anew."""
        self._stop_counting()
        with self._lock:
            if not self._is_closed:
                self._idle = Timer(self._idle_s, self.discard)
                self._idle.daemon = True
                self._idle.start()

    def _stop_counting(self) -> None:
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()


def _name(applications: tuple[str, ...] | None) -> str:
    if applications is None:
        return "all.duckdb"
    return f"some-{hashlib.sha256(msgspec.json.encode(sorted(applications))).hexdigest()[:32]}.duckdb"
