"""What a worker decides by first: its source's snapshot, else a copy of the last good one, else it waits for either.

The law: without a snapshot nobody is served. A worker that has none for 30 s is not ready so long; then a fleet's takes
its host's own definitions, with everybody at base, until there is a snapshot. One that cannot ends to begin anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from gateway.proxy.snapshot import Decisions, Source, View
from gateway.settings.built_in import NoBaseError
from gateway.settings.last_good import LAKE_FOLDER, LastGood
from gateway.settings.problem import SettingsError
from gateway.settings.secrets import SecretError
from gateway.settings.snapshot import BadSnapshotError, Snapshot
from rollout.stores.ledger import SnapshotSource, StoreUnavailableError

FIRST_SNAPSHOT_S = 30.0
_AGAIN_S = 0.1

_STARTED: Mapping[str, str] = {
    "last_good": "started from the last good snapshot",
    "lake": "started from the console's copy of the snapshot in the lake",
}

_log = logging.getLogger("turnout.proxy")


class NoSnapshotError(Exception):
    """No snapshot to start with; the message says where it was looked for."""


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """By what snapshots come: `source` makes a reader, one for each thread that reads.

    `lake` is the directory where a fleet's console leaves a copy. `built_in` makes what is decided by where nobody
    knows anything; None where that never happens.
    """

    name: Source
    source: Callable[[], SnapshotSource]
    lake: Path | None = None
    built_in: Callable[[], Snapshot] | None = None


class Copies:
    """The copies of the last good snapshot: this host's own, and the one in the lake."""

    def __init__(self, last_good: LastGood, lake: Path | None, open_seal: Callable[[bytes], Snapshot]) -> None:
        self._own = last_good
        self._left = LastGood(lake / LAKE_FOLDER, "console", open_seal) if lake is not None else None

    def keep(self, sealed: bytes) -> None:
        """Replace this worker's own; raises `OSError`."""
        self._own.keep(sealed)

    def newest(self) -> tuple[Snapshot, Source] | None:
        """Return the newer of both: a host that was away for long has an old one, and both are ours."""
        own = self._own.newest()
        left = self._left.newest() if self._left is not None else None
        if left is not None and (own is None or left.order > own.order):
            return left, "lake"
        return (own, "last_good") if own is not None else None


def first_view(
    channel: Channel,
    last_good: LastGood,
    decide: Callable[..., Decisions],
    open_seal: Callable[[bytes], Snapshot],
    patience_s: float = FIRST_SNAPSHOT_S,
    tell: Callable[[str], None] = lambda _: None,
) -> View:
    """Take the source's snapshot; while it cannot be read, the newest copy; else wait for either, at last for neither.

    A source that cannot be older than the copies is believed; Redis can: a restarted one may hold an old value. `tell`
    hears again and again why there is none yet.

    Raises:
        NoSnapshotError: there was neither within `patience_s`, and nothing is built in.
        SecretError: the last good snapshot needs a secret that cannot be had.
    """
    given_up_at = time.monotonic() + patience_s
    reason = "no snapshot was compiled yet"
    source, copies = channel.source(), Copies(last_good, channel.lake, open_seal)
    while time.monotonic() < given_up_at:
        taken: Snapshot | None = None
        try:
            if (sealed := source.poll()) is not None:
                taken = open_seal(sealed)
                if channel.name == "ledger" or not _is_outdated(taken, last_good):
                    return View(decisions=decide(taken), source=channel.name)
                reason = f"snapshot {taken.epoch}.{taken.version} is older than the copy on this host"
        except (StoreUnavailableError, BadSnapshotError, SecretError) as error:
            reason = str(error)
        finally:
            source.close()
        if (kept := copies.newest()) is not None:
            snapshot, name = kept
            _log.warning(_STARTED[name], extra={"reason": reason, "source": name})
            return View(decisions=decide(snapshot), source=name, fresh=False)
        tell(reason)
        time.sleep(_AGAIN_S)
    return _at_base(channel.built_in, decide, reason)


def _at_base(built_in: Callable[[], Snapshot] | None, decide: Callable[..., Decisions], reason: str) -> View:
    """Serve everybody by base, as this host's own file defines it."""
    if built_in is None:
        message = f"no snapshot to start with: {reason}"
        raise NoSnapshotError(message)
    try:
        decisions = decide(built_in())
    except (SettingsError, NoBaseError, SecretError) as error:
        message = f"no snapshot to start with: {reason}; and no base without one: {error}"
        raise NoSnapshotError(message) from error
    _log.error("no snapshot was found anywhere; everybody is served by base", extra={"reason": reason})
    for name, lack in decisions.lacking.items():
        extra = {"application": name, "reason": lack}
        _log.error("an application's key is not here; callers who send it are refused", extra=extra)
    return View(decisions=decisions, source="default", fresh=False)


def _is_outdated(taken: Snapshot, last_good: LastGood) -> bool:
    newest = last_good.newest()
    return newest is not None and taken.order < newest.order
