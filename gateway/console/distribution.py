"""The ledger's newest snapshot on its way to a fleet, into Redis; its copy goes into the lake by `lake_copy`.

The law: the ledger is the truth. What Redis holds is replaced by what the ledger says, within a second after a flush, a
failover or a foreign hand; but never by something older than what workers may have seen. That happens when the ledger
is an old copy put back: then its epoch is raised above, once, and what is said from then on is newer.

One thread of the console. It waits for nobody, and nobody waits for it: a change is acknowledged by the ledger.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from analytics.lake.place import Place
from gateway.console.hosts import Hosts
from gateway.console.installation import Installation, master_keys
from gateway.console.lake_copy import Copying, lake_copy
from gateway.settings.access import redis_access
from gateway.settings.last_good import LastGood
from gateway.settings.schema import Redis
from gateway.settings.snapshot import BadSnapshotError, Snapshot, unseal
from rollout.stores.ledger import LEDGER_FILE, SnapshotSource, StoreUnavailableError
from rollout.stores.reader import SnapshotReader
from rollout.stores.redis import RedisSnapshotStore

TICK_S = 0.02
CHECK_S = 1.0
_LAST_S = 3.0
"""How long the end waits for a call of a lake that hangs."""
FLEET_COPY = "fleet"
"""Under this name a starting console keeps, beside its workers' copies, what its fleet has seen last."""

_log = logging.getLogger("turnout.console")


class Distribution:
    """Brings every new snapshot of `ledger` to `store`, and looks once a second whether it is still there.

    `raise_epoch` is told of a snapshot that the fleet has seen and the ledger has not.
    """

    def __init__(
        self,
        ledger: SnapshotSource,
        store: RedisSnapshotStore,
        open_seal: Callable[[bytes], Snapshot],
        raise_epoch: Callable[[Snapshot], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._unseal = open_seal
        self._raise_epoch = raise_epoch
        self._clock = clock
        self._present: bytes | None = None
        self._put: bytes | None = None
        self._check_at = 0.0
        self._has_raised = False
        self._troubles: dict[str, str] = {}

    def tick(self) -> None:
        """Bring what is new, and what is due to be looked at."""
        try:
            if (sealed := self._ledger.poll()) is not None:
                self._present, self._check_at = sealed, 0.0
            if self._present is not None and self._clock() >= self._check_at:
                self._check_at = self._clock() + CHECK_S
                self._bring(self._present)
        except StoreUnavailableError as error:
            self._note("snapshot not distributed; it is tried again", str(error))
        else:
            self._note("snapshot not distributed; it is tried again", None)

    def run(self, stop: threading.Event) -> None:
        """Tick until told to stop."""
        while not stop.wait(TICK_S):
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - the thread's outermost loop: logged, and it goes on
                _log.exception("distributing the snapshot failed; it goes on")

    def close(self) -> None:
        """Let go of the ledger's file and of Redis."""
        self._ledger.close()
        self._store.close()

    def _bring(self, sealed: bytes) -> None:
        if self._store.holds(sealed):
            self._put = sealed
            return
        if self._put is None or not self._store.holds(self._put):
            if self._put is not None:
                _log.warning("Redis held another snapshot than the console's, or none; it is put back")
            if (later := self._later_than(sealed)) is not None:
                self._catch_up(later)
                return
        self._store.put(sealed)
        self._put = sealed

    def _later_than(self, sealed: bytes) -> Snapshot | None:
        """Return what Redis holds if it is this installation's and newer than the ledger's."""
        try:
            held = self._store.held()
            found = self._unseal(held) if held is not None else None
        except BadSnapshotError:
            return None
        return found if found is not None and found.order > self._unseal(sealed).order else None

    def _catch_up(self, later: Snapshot) -> None:
        label = f"{later.epoch}.{later.version}"
        if self._has_raised:
            self._note(
                "snapshot not distributed; another console writes to the same Redis", f"it has published {label}"
            )
            return
        self._has_raised = True
        _log.error("the ledger is older than what the fleet has seen; its epoch is raised", extra={"seen": label})
        self._raise_epoch(later)

    def _note(self, event: str, trouble: str | None) -> None:
        """Say once what is wrong."""
        if trouble is None:
            self._troubles.pop(event, None)
        elif self._troubles.get(event) != trouble:
            self._troubles[event] = trouble
            _log.error(event, extra={"reason": trouble})


def remember_fleet(
    run: Path, store: RedisSnapshotStore, left: Path | None, open_seal: Callable[[bytes], Snapshot]
) -> None:
    """Keep what the fleet has seen last where a console that opens its installation looks for it.

    So a ledger that was lost, or put back from an old copy, is noticed before the first change. `left` is the directory
    in which the copy of the lake lies, or was brought to.
    """
    found: list[tuple[Snapshot, bytes]] = []
    for read in (store.held, *([LastGood(left, "console", open_seal).newest_sealed] if left is not None else [])):
        try:
            if (sealed := read()) is not None:
                found.append((open_seal(sealed), sealed))
        except (StoreUnavailableError, BadSnapshotError) as error:
            _log.warning("what the fleet has seen last is not known", extra={"reason": str(error)})
    if found:
        _, newest = max(found, key=lambda one: one[0].order)
        run.mkdir(mode=0o700, exist_ok=True)
        LastGood(run, FLEET_COPY, open_seal).keep(newest)


class _Task(Protocol):
    """What a thread of the console does until told to stop."""

    def run(self, stop: threading.Event) -> None: ...
    def close(self) -> None: ...


@contextmanager
def publishing(
    installation: Installation, state_dir: Path, lake: Place, redis: Redis, environment: Mapping[str, str]
) -> Generator[None]:
    """Publish every snapshot of an installation's ledger, and leave a copy in the lake, until the block ends.

    A console that is not the ledger's writer publishes nothing.

    Raises:
        SecretError: Redis needs a secret that cannot be had.
        OSError: the lake's directory cannot be made.
    """
    if installation.ledger.read_only:
        yield
        return
    unsealed = partial(unseal, signing_key=master_keys(state_dir, environment, create=False).snapshot)
    hosts = Hosts(lake)
    ledger, raise_epoch = state_dir / LEDGER_FILE, installation.control.start
    tasks: dict[str, _Task] = {
        "publish-snapshots": Distribution(
            SnapshotReader(ledger), RedisSnapshotStore(redis_access(redis, environment)), unsealed, raise_epoch
        ),
        "copy-snapshots": Copying(SnapshotReader(ledger), lake_copy(lake, unsealed), unsealed, raise_epoch),
        "read-hosts": hosts,
    }
    installation.control.hosts = hosts
    stop = threading.Event()
    threads = [threading.Thread(target=task.run, args=(stop,), name=name, daemon=True) for name, task in tasks.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread, task in zip(threads, tasks.values(), strict=True):
            thread.join(_LAST_S)
            if not thread.is_alive():
                task.close()
