"""What a fleet's gateways tell of their workers, read from the lake by a thread of its own: nobody waits for it.

A gateway that ends takes back what it told. One that falls silent is said for an hour, and forgotten after a day.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from analytics.journal.status import TROUBLES
from analytics.lake.place import MissingPackageError, Place
from analytics.lake.presence import AGAIN_S, Presence, WorkerPresence, forget, presences
from analytics.lake.store import Store
from gateway.console.views import WorkerView

LOOK_S = 5.0
SILENT_S = 3 * AGAIN_S
SAID_S = 3600.0
FORGOTTEN_S = 24 * 3600.0
_US = 1_000_000
_NO_EPOCH = 2**31
"""A file that tells of such an epoch is damaged: nobody raises it so often."""

_log = logging.getLogger("turnout.console")


class OtherHosts(Protocol):
    """What is known of the workers on other hosts."""

    def workers(self) -> Sequence[WorkerView]:
        """Return those that were heard of lately, named `HOST/WORKER`."""
        ...

    def silent(self) -> Sequence[str]:
        """Return a sentence for each host that was heard of, but not lately."""
        ...


class Alone:
    """What is known where there are no other hosts."""

    def workers(self) -> Sequence[WorkerView]:
        """Return none."""
        return ()

    def silent(self) -> Sequence[str]:
        """Return none."""
        return ()


class Hosts:
    """The gateways that tell of themselves in a lake; `clock` gives seconds since 1970."""

    def __init__(self, lake: Place, clock: Callable[[], float] = time.time) -> None:
        self._place, self._clock = lake, clock
        self._lake: Store | None = None
        self._told: Sequence[Presence] = ()
        self._trouble: str | None = None

    def look(self) -> None:
        """Read what every host told last, and forget those that are long gone; raises `OSError`."""
        if self._lake is None:
            try:
                self._lake = self._place.open()
            except MissingPackageError as error:
                raise OSError(str(error)) from error
        told = presences(self._lake)
        for one in told:
            if self._age_s(one) > FORGOTTEN_S:
                forget(self._lake, one.host)
        self._told = told

    def run(self, stop: threading.Event) -> None:
        """Look every few seconds until told to stop; while the lake is away the last word stands, and grows old."""
        pause_s = 0.0
        while not stop.wait(pause_s):
            trouble: str | None = None
            pause_s = LOOK_S
            try:
                self.look()
            except OSError as error:
                trouble = str(error)
            except Exception:  # noqa: BLE001 - the thread's outermost loop: logged, and it goes on
                _log.exception("reading of other hosts failed; it goes on")
            if trouble is not None and trouble != self._trouble:
                _log.warning("what other hosts tell cannot be read", extra={"reason": trouble})
            self._trouble = trouble

    def close(self) -> None:
        """Let go of what was read."""
        self._told = ()

    def workers(self) -> Sequence[WorkerView]:
        """Return the workers of hosts that were heard of lately."""
        heard = [one for one in self._told if self._age_s(one) <= SILENT_S]
        return [_view(one, worker) for one in heard for worker in one.workers]

    def silent(self) -> Sequence[str]:
        """Return a sentence for each host that was heard of within the hour, but not lately."""
        return [
            f"host {one.host} has told nothing for {self._age_s(one) / 60:.0f} minutes: unless it is gone for good, "
            "look whether its shipper runs and reaches the lake"
            for one in self._told
            if SILENT_S < self._age_s(one) <= SAID_S
        ]

    def newest(self) -> tuple[int, int]:
        """Return the newest snapshot, as epoch and version, that any worker was heard to decide by; (0, 0) for none."""
        heard = ((one.snapshot_epoch, one.snapshot_version) for host in self._told for one in host.workers)
        return max((one for one in heard if one[0] < _NO_EPOCH), default=(0, 0))

    def _age_s(self, one: Presence) -> float:
        return self._clock() - one.at / _US


def _view(host: Presence, one: WorkerPresence) -> WorkerView:
    trouble = one.journal_trouble if 0 <= one.journal_trouble < len(TROUBLES) else 0
    return WorkerView(
        worker=f"{host.host}/{one.worker}",
        snapshot=f"{one.snapshot_epoch}.{one.snapshot_version}",
        in_flight=one.in_flight,
        split_requests=one.split,
        split_without_user_key=one.anonymous,
        lost=one.lost,
        journal_trouble=TROUBLES[trouble],
        told_at=host.at,
    )
