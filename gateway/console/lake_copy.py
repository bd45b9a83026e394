"""The copy of a fleet's newest snapshot in its lake, by which gateways start while Redis is away. The console's alone.

The law: the copy never goes back to something older than what lies there, and the console that holds the fleet's lease
alone leaves it. It is brought by a thread of its own, and again until it is there: a lake that hangs keeps nothing from
Redis, and nobody waits for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from analytics.lake.place import MissingPackageError, Place
from analytics.lake.store import Store
from gateway.errors import ApiError
from gateway.settings.last_good import LAKE_COPY, LAKE_FOLDER, LastGood
from gateway.settings.snapshot import BadSnapshotError, Snapshot
from rollout.stores.ledger import SnapshotSource, StoreUnavailableError

TICK_S = 0.1
AGAIN_S = 5.0
_TROUBLE = "no copy of the snapshot in the lake; it is tried again"

_log = logging.getLogger("turnout.console")


class Copy(Protocol):
    """Where the copy lies; `OSError` when it can be neither read nor written now."""

    def newest_sealed(self) -> bytes | None:
        """Return it as it was signed; None if there is none."""
        ...

    def keep(self, sealed: bytes) -> None:
        """Replace it, whole."""
        ...


class FarCopy:
    """The copy in an object store, which is opened when it is first needed: its client takes half a second."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._opened: Store | None = None

    def newest_sealed(self) -> bytes | None:
        """Return the copy as it was signed; None if there is none."""
        return self._store().read(LAKE_COPY)

    def keep(self, sealed: bytes) -> None:
        """Replace it."""
        self._store().replace(LAKE_COPY, sealed)

    def _store(self) -> Store:
        if self._opened is None:
            try:
                self._opened = self._place.open()
            except MissingPackageError as error:
                raise OSError(str(error)) from error
        return self._opened


def lake_copy(lake: Place, open_seal: Callable[[bytes], Snapshot]) -> Copy:
    """Return the copy in a fleet's lake; in a directory its folder is made.

    Raises:
        OSError: it cannot be made.
    """
    if lake.directory is None:
        return FarCopy(lake)
    folder = lake.directory / LAKE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return LastGood(folder, "console", open_seal)


class Copying:
    """Brings every new snapshot of `ledger` to the `copy`, and keeps trying.

    `raise_epoch` is told when the copy is newer than the ledger, which then was lost or put back. What cannot be
    brought because `may` says no waits.
    """

    def __init__(
        self,
        ledger: SnapshotSource,
        copy: Copy,
        open_seal: Callable[[bytes], Snapshot],
        raise_epoch: Callable[[Snapshot], object],
        clock: Callable[[], float] = time.monotonic,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        self._ledger, self._copy, self._unseal = ledger, copy, open_seal
        self._raise_epoch, self._clock, self._may = raise_epoch, clock, may
        self._pending: bytes | None = None
        self._again_at = 0.0
        self._trouble: str | None = None

    def tick(self) -> None:
        """Bring what is new, or what could not be brought before."""
        try:
            if (sealed := self._ledger.poll()) is not None:
                self._pending, self._again_at = sealed, 0.0
            if self._pending is not None and self._clock() >= self._again_at and self._may():
                self._bring(self._pending)
                self._pending = None
                self._note(None)
        except (StoreUnavailableError, OSError, ApiError) as error:
            self._again_at = self._clock() + AGAIN_S
            self._note(str(error))

    def run(self, stop: threading.Event) -> None:
        """Tick until told to stop."""
        while not stop.wait(TICK_S):
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - the thread's outermost loop: logged, and it goes on
                _log.exception("copying the snapshot failed; it goes on")

    def close(self) -> None:
        """Let go of the ledger's file."""
        self._ledger.close()

    def _bring(self, sealed: bytes) -> None:
        if (later := self._later_than(sealed)) is not None:
            seen = f"{later.epoch}.{later.version}"
            _log.error("the ledger is older than its copy in the lake; its epoch is raised", extra={"seen": seen})
            self._raise_epoch(later)
            return
        self._copy.keep(sealed)

    def _later_than(self, sealed: bytes) -> Snapshot | None:
        """Return what lies there if it is this installation's and newer than the ledger's."""
        left = self._copy.newest_sealed()
        try:
            found = self._unseal(left) if left is not None else None
        except BadSnapshotError:
            return None
        return found if found is not None and found.order > self._unseal(sealed).order else None

    def _note(self, trouble: str | None) -> None:
        """Say once what is wrong."""
        if trouble is not None and trouble != self._trouble:
            _log.error(_TROUBLE, extra={"reason": trouble})
        self._trouble = trouble
