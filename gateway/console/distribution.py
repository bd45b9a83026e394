"""The ledger's newest snapshot on its way to a fleet, into Redis; its copy goes into the lake by `lake_copy`.

The law: the ledger is the truth. What Redis holds is replaced by what the ledger says, within a second after a flush, a
failover or a foreign hand; but never by something older than what workers have seen, be it in Redis or told by their
hosts: then the ledger's epoch is raised above, and what is said from then on is newer. Only the console that holds the
fleet's lease does any of this.

One thread of the console. It waits for nobody, and nobody waits for it: a change is acknowledged by the ledger.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from analytics.lake.place import Place
from gateway.console.hosts import Hosts
from gateway.console.installation import Installation, master_keys
from gateway.console.lake_copy import Copying, lake_copy
from gateway.console.lease import MARK, Lease, this_console
from gateway.errors import ApiError
from gateway.settings.access import redis_access
from gateway.settings.last_good import LastGood
from gateway.settings.schema import Redis
from gateway.settings.snapshot import BadSnapshotError, Snapshot, unseal
from rollout.stores.ledger import LEDGER_FILE, SnapshotSource, StoreUnavailableError
from rollout.stores.reader import SnapshotReader

if TYPE_CHECKING:
    from rollout.stores.redis import RedisSnapshotStore

TICK_S = 0.02
CHECK_S = 1.0
RAISE_S = 5.0
"""At most so often the epoch is raised."""
_LAST_S = 3.0
"""How long the end waits for a call of a lake that hangs."""
_UNDISTRIBUTED = "snapshot not distributed; it is tried again"
_REPLACED = "Redis held another snapshot than the console's, or none"
FLEET_COPY = "fleet"
"""Under this name a starting console keeps, beside its workers' copies, what its fleet has seen last."""

_log = logging.getLogger("turnout.console")


class RaiseEpoch(Protocol):
    """Raises the ledger's epoch above a later snapshot, and above an epoch of which nothing more is known."""

    def __call__(self, last_good: Snapshot | None = None, *, above: int | None = None) -> object:
        """Do so; raises `ApiError`."""
        ...


class Distribution:
    """Brings every new snapshot of `ledger` to `store`, and looks once a second whether it is still there.

    `raise_epoch` is told of what the fleet has seen and the ledger has not; `heard` is the newest snapshot, as epoch
    and version, that a worker of another host was heard to decide by.
    """

    def __init__(
        self,
        ledger: SnapshotSource,
        store: RedisSnapshotStore,
        lease: Lease,
        open_seal: Callable[[bytes], Snapshot],
        raise_epoch: RaiseEpoch,
        *,
        heard: Callable[[], tuple[int, int]] = lambda: (0, 0),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._store, self._lease = ledger, store, lease
        self._unseal, self._raise_epoch = open_seal, raise_epoch
        self._heard, self._clock = heard, clock
        self._present: bytes | None = None
        self._put: bytes | None = None
        self._others: bytes | None = None
        self._check_at = self._raise_at = 0.0
        self._troubles = Troubles()

    @property
    def trouble(self) -> str | None:
        """Return why the newest snapshot cannot be brought to the fleet now, if so."""
        return self._troubles.of(_UNDISTRIBUTED)

    def tick(self) -> None:
        """Bring what is new, and what is due to be looked at."""
        try:
            if (sealed := self._ledger.poll()) is not None:
                self._present, self._check_at = sealed, 0.0
            if self._clock() < self._check_at:
                return
            self._check_at = self._clock() + CHECK_S
            if not self._lease.look():
                self._stand_by()
            elif self._present is not None:
                self._bring(self._present)
        except (StoreUnavailableError, ApiError) as error:
            self._troubles.note(_UNDISTRIBUTED, str(error))
        else:
            self._troubles.note(_UNDISTRIBUTED, None)

    def run(self, stop: threading.Event) -> None:
        """Tick until told to stop."""
        while not stop.wait(TICK_S):
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - the thread's outermost loop: logged, and it goes on
                _log.exception("distributing the snapshot failed; it goes on")

    def close(self) -> None:
        """Let go of the lease, of the ledger's file and of Redis."""
        self._lease.release()
        self._ledger.close()
        self._store.close()

    def _stand_by(self) -> None:
        """Remember what the other console says: it counts when this one takes over."""
        if self._lease.has_met and (self._others is None or not self._store.holds(self._others)):
            held = self._store.held()
            self._others = held if self._opened(held) is not None else self._others

    def _bring(self, sealed: bytes) -> None:
        if self._take_over(sealed):
            return
        is_there = self._store.holds(sealed)
        is_replaced = not is_there and self._put is not None and not self._store.holds(self._put)
        if not is_there and (self._put is None or is_replaced):
            later = self._opened(self._store.held())
            if later is not None and later.order > self._unseal(sealed).order:
                self._catch_up(later, None)
                return
        heard = self._heard()
        if heard > (0, 0) and heard > self._unseal(sealed).order:
            self._catch_up(None, heard)
            return
        self._troubles.note(_REPLACED, "it is put back" if is_replaced else None)
        if not is_there:
            self._store.put(sealed)
        self._put = sealed

    def _take_over(self, sealed: bytes) -> bool:
        """Go on from what another console said last, whatever its version is; tell whether there is such a thing."""
        if self._others is None:
            return False
        other = None if self._is_own(sealed) else self._opened(self._store.held()) or self._opened(self._others)
        self._others = None
        if other is None:
            return False
        _log.warning("taking over from another console; what it said last is kept", extra={"seen": _label(other.order)})
        self._raise_epoch(other, above=max(other.epoch, self._unseal(sealed).epoch))
        return True

    def _is_own(self, sealed: bytes) -> bool:
        return self._store.holds(sealed) or (self._put is not None and self._store.holds(self._put))

    def _opened(self, sealed: bytes | None) -> Snapshot | None:
        """Return what this is if it is this installation's."""
        try:
            return self._unseal(sealed) if sealed is not None else None
        except BadSnapshotError:
            return None

    def _catch_up(self, later: Snapshot | None, heard: tuple[int, int] | None) -> None:
        """Raise the epoch, though not again and again where somebody raises another one against it."""
        if self._clock() < self._raise_at:
            return
        self._raise_at = self._clock() + RAISE_S
        seen = _label(later.order if later is not None else heard or (0, 0))
        _log.error("the ledger is older than what the fleet has seen; its epoch is raised", extra={"seen": seen})
        self._raise_epoch(later, above=heard[0] if heard is not None else None)


def _label(order: tuple[int, int]) -> str:
    return f"{order[0]}.{order[1]}"


class Troubles:
    """What is wrong, by event: each reason is said once until the event ends, which is said too."""

    def __init__(self) -> None:
        self._said: dict[str, set[str]] = {}
        self._present: dict[str, str] = {}

    def of(self, event: str) -> str | None:
        """Return the present reason."""
        return self._present.get(event)

    def note(self, event: str, reason: str | None) -> None:
        """Say what is new about it."""
        if reason is None:
            if self._present.pop(event, None) is not None:
                self._said.pop(event, None)
                _log.info("over: %s", event)
            return
        self._present[event] = reason
        said = self._said.setdefault(event, set())
        if reason not in said:
            said.add(reason)
            _log.error(event, extra={"reason": reason})


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


def _store(redis: Redis, environment: Mapping[str, str]) -> RedisSnapshotStore:
    from rollout.stores.redis import RedisSnapshotStore  # noqa: PLC0415 - only a fleet needs Redis' library

    return RedisSnapshotStore(redis_access(redis, environment))


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
    ledger, control = state_dir / LEDGER_FILE, installation.control
    store = _store(redis, environment)
    lease = Lease(store, this_console(state_dir, secrets.token_hex(8)), state_dir / MARK)
    copying = Copying(
        SnapshotReader(ledger), lake_copy(lake, unsealed), unsealed, control.start, may=lambda: lease.is_writer
    )
    distribution = Distribution(SnapshotReader(ledger), store, lease, unsealed, control.start, heard=hosts.newest)
    tasks: dict[str, _Task] = {"publish-snapshots": distribution, "copy-snapshots": copying, "read-hosts": hosts}
    control.hosts = hosts
    control.follow(lease.refusal, lambda: distribution.trouble)
    with suppress(StoreUnavailableError):
        lease.look()
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
