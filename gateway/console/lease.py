"""Which console of a fleet writes: one at a time, by a lease in Redis beside the snapshot; the others are read-only.

The law: who does not hold the lease publishes nothing, raises no epoch and takes no change. The holder renews it each
second; who has met another holder takes it only after it was free for a while, so that after a flush the former holder
is first. While Redis is away, the console that held it last goes on taking changes, which wait.

Looked at by one thread; what it found may be asked from any.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from rollout.stores.ledger import StoreUnavailableError

LEASE_S = 5.0
"""So long it stays after the last renewal."""
GRACE_S = 5.0
"""So long it must be free before a console takes it that has met another holder."""
DEAD_S = 2 * LEASE_S
"""A lease that has not changed for so long is nobody's, whatever keeps it there."""
MARK = "writer"
"""This file lies in the state directory of the console that held the lease last."""
_LONGEST_PATH = 300

_log = logging.getLogger("turnout.console")


class LeaseStore(Protocol):
    """Where the lease lies; every method may raise `StoreUnavailableError`."""

    def leased(self) -> bytes | None:
        """Return the lease, or what else lies there; None if nothing."""
        ...

    def lease(self, value: bytes, for_s: float, *, anew: bool) -> bool:
        """Put the lease there for so long; with `anew` only if there is none. Return whether it was put."""
        ...


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A console: where it is, which life of it this is, and when it said so (microseconds since 1970 UTC)."""

    console: str
    life: str
    host: str
    process: int
    directory: str
    at: int = 0

    def __str__(self) -> str:
        """Name it as an operator looks for it."""
        return f"process {self.process} on host {self.host}, state directory {self.directory}"


def this_console(state_dir: Path, life: str) -> Holder:
    """Return this process as a holder: the same `console` in every life of a state directory, a copy's is another."""
    directory, host = state_dir.resolve(), socket.gethostname()
    status = directory.stat()
    place = f"{host}\n{directory}\n{status.st_dev}\n{status.st_ino}"
    return Holder(
        console=hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:16],
        life=life,
        host=host,
        process=os.getpid(),
        directory=os.fsencode(directory).decode(errors="replace")[-_LONGEST_PATH:],
    )


class Lease:
    """One console's view of the lease; `mark` is the file that says it held it last."""

    def __init__(
        self,
        store: LeaseStore,
        console: Holder,
        mark: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._store, self._console, self._mark = store, console, mark
        self._clock, self._wall_us = clock, wall_us
        self._is_writer = mark.exists()
        self._has_held = False
        self._found: bytes | None = None
        self._found_at = clock()
        self._free_since: float | None = None
        self._other: Holder | None = None
        self._trouble: str | None = None
        self.has_met = False

    @property
    def is_writer(self) -> bool:
        """Tell whether this console holds the lease, or held it last."""
        return self._is_writer

    def refusal(self) -> str | None:
        """Return why this console takes no change, and the remedy; None if it takes them."""
        if self._is_writer:
            return None
        if self._other is not None:
            return (
                f"this console is read-only, because another one writes for this fleet: {self._other}; use that one, "
                f"or stop it, and this one takes over within {LEASE_S + GRACE_S:.0f} seconds"
            )
        if self._trouble is not None:
            return (
                f"this console is read-only until it can ask whether another one writes for this fleet: {self._trouble}"
            )
        return (
            f"this console is read-only for the moment; if no other one is there it takes over within {GRACE_S:.0f} s"
        )

    def look(self) -> bool:
        """Renew the lease, or take it if it is free; return whether this console holds it now.

        Raises:
            StoreUnavailableError: it is not known.
        """
        try:
            is_held = self._asked(self._clock())
        except StoreUnavailableError as error:
            self._trouble = str(error)
            raise
        self._trouble = None
        return is_held

    def release(self) -> None:
        """Let the next one have it at once, as far as Redis can be asked."""
        with suppress(StoreUnavailableError):
            found = self._store.leased() if self._has_held and self._is_writer else None
            if found is not None and found == self._found:
                self._store.lease(found, 0.001, anew=False)

    def _asked(self, now: float) -> bool:
        found = self._store.leased()
        if found != self._found:
            self._found, self._found_at = found, now
        if (other := self._living(found, now)) is not None:
            self._lose(other)
            return False
        if not self._may_take(now):
            return False
        mine = msgspec.json.encode(msgspec.structs.replace(self._console, at=self._wall_us()))
        if not self._store.lease(mine, LEASE_S, anew=found is None):
            return False
        self._found, self._found_at = mine, now
        self._win()
        return True

    def _living(self, found: bytes | None, now: float) -> Holder | None:
        """Return the other console whose lease this is; None if it is free, this one's, a dead one's, or no lease."""
        try:
            holder = msgspec.json.decode(found or b"", type=Holder)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if holder.console == self._console.console and (holder.life == self._console.life or not self._has_held):
            return None
        return holder if now - self._found_at <= DEAD_S else None

    def _may_take(self, now: float) -> bool:
        if self._is_writer or not self.has_met:
            return True
        if self._free_since is None:
            self._free_since = now
        return now - self._free_since >= GRACE_S

    def _lose(self, other: Holder) -> None:
        self.has_met, self._free_since = True, None
        is_news = self._other is None or self._other.life != other.life
        self._is_writer, self._other = False, other
        if is_news:
            _log.warning("read-only: another console writes for this fleet", extra={"reason": self.refusal()})
            with suppress(OSError):
                self._mark.unlink(missing_ok=True)

    def _win(self) -> None:
        if not self._has_held or not self._is_writer:
            _log.info("this console writes for its fleet")
            with suppress(OSError):
                self._mark.touch(mode=0o600)
        self._is_writer = self._has_held = True
        self._other = self._free_since = None
