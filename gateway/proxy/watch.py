"""Keep a worker's view up to date, off the event loop: poll the source, keep the last good, obey `force-base`.

Two threads, so that a stalled store never delays the kill switch. Neither ever raises: what goes wrong is logged once
per change, and the last good view stays.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.proxy.beginning import Copies
from gateway.proxy.snapshot import Decisions, Holder, Source
from gateway.settings.secrets import SecretError
from gateway.settings.snapshot import BadSnapshotError, Snapshot
from rollout.stores.ledger import SnapshotSource, StoreUnavailableError

POLL_S = 0.05
STALE_S = 5.0
"""A source that has not answered for this long makes assignments `stale`."""
FORCE_BASE = "force-base"

_log = logging.getLogger("turnout.proxy")


class SnapshotWatch:
    """Polls one source and swaps the holder's view for every newer snapshot."""

    def __init__(
        self,
        source: SnapshotSource,
        holder: Holder,
        unseal: Callable[[bytes], Snapshot],
        decide: Callable[[Snapshot], Decisions],
        copies: Copies,
        clock: Callable[[], float] = time.monotonic,
        name: Source = "ledger",
    ) -> None:
        self._source = source
        self._name: Source = name
        self._holder = holder
        self._unseal = unseal
        self._decide = decide
        self._copies = copies
        self._clock = clock
        self._answered_at = clock()
        self._trouble: str | None = None
        self._copy_trouble: str | None = None
        self._untaken: bytes | None = None
        self._refused: BadSnapshotError | None = None

    def tick(self) -> None:
        """Ask once; while nobody knows what is in force, look for a copy too."""
        self._ask()
        if self._holder.view.source == "default":
            self._take_copy()

    def _ask(self) -> None:
        """Ask the source; what lacked a secret is tried again, since a secret's file may come later than its name.

        What was refused stays refused, and in the way, until there is something else: nobody reads it twice.
        """
        try:
            if (sealed := self._source.poll()) is not None:
                self._untaken, self._refused = sealed, None
            if self._untaken is not None:
                self._take(self._untaken)
                self._untaken = None
            if self._refused is not None:
                raise self._refused
        except BadSnapshotError as error:
            self._untaken, self._refused = None, error
            self._note(str(error))
        except (StoreUnavailableError, SecretError) as error:
            self._note(str(error))
        else:
            self._note(None)

    def run(self, stop: threading.Event) -> None:
        """Ask every 50 ms until told to stop."""
        while not stop.wait(POLL_S):
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - the thread's outermost loop: logged, and the last good view stays
                _log.exception("snapshot watch failed; the last good snapshot stays")

    def _take(self, sealed: bytes) -> None:
        snapshot = self._unseal(sealed)
        present = self._holder.view
        if snapshot.order < present.decisions.snapshot.order:
            message = f"snapshot {snapshot.epoch}.{snapshot.version} is older than {present.decisions.label}; refused"
            raise BadSnapshotError(message)
        self._holder.change(decisions=self._decide(snapshot), source=self._name, fresh=True)
        try:
            self._copies.keep(sealed)
        except OSError as error:
            _log.error("last good snapshot not kept", extra={"reason": str(error)})

    def _take_copy(self) -> None:
        trouble: str | None = None
        try:
            if (kept := self._copies.newest()) is not None:
                snapshot, name = kept
                self._holder.change(decisions=self._decide(snapshot), source=name, fresh=False)
                _log.warning("a copy of the last good snapshot was found; it is in force", extra={"source": name})
        except SecretError as error:
            trouble = str(error)
            if trouble != self._copy_trouble:
                _log.error("a copy of the last good snapshot cannot be used", extra={"reason": trouble})
        self._copy_trouble = trouble

    def _note(self, trouble: str | None) -> None:
        """Say once what is wrong, or that it is over; a source in trouble for long makes the view stale."""
        now = self._clock()
        if trouble is None:
            self._answered_at = now
            if not self._holder.view.fresh:
                self._holder.change(fresh=True)
        elif self._holder.view.fresh and now - self._answered_at > STALE_S:
            self._holder.change(fresh=False)
        if trouble is not None and trouble != self._trouble:
            _log.error("snapshot source in trouble; the last good snapshot stays", extra={"reason": trouble})
        elif trouble is None and self._trouble is not None:
            _log.warning("snapshot source answers again")
        self._trouble = trouble


class ForceBase:
    """Sends everybody to base while a file named `force-base` lies in the state directory."""

    def __init__(self, state_dir: Path, holder: Holder) -> None:
        self._path = state_dir / FORCE_BASE
        self._holder = holder

    def tick(self) -> None:
        """Look once; while nobody can tell whether the file is there, all stays as it is."""
        try:
            os.lstat(self._path)
            killed = True
        except FileNotFoundError:
            killed = False
        except OSError:
            return
        if killed != self._holder.view.killed:
            self._holder.change(killed=killed)
            _log.warning("force-base is %s", "on: every user is served by base" if killed else "off")

    def run(self, stop: threading.Event) -> None:
        """Look every 50 ms until told to stop."""
        self.tick()
        while not stop.wait(POLL_S):
            self.tick()
