"""What every source of snapshots promises to the thread that polls it: the ledger's file, and Redis."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
from redis import Redis

from rollout.stores.ledger import LEDGER_FILE, SnapshotSource, StoreUnavailableError
from rollout.stores.reader import SnapshotReader
from rollout.stores.redis import KEY, RedisSnapshots, RedisSnapshotStore
from rollout.stores.redis_address import RedisAccess, parse_redis_url
from rollout.stores.sqlite import open_ledger
from tests.fakes.ledger import compiled, moving, ticking, with_rollout
from tests.fakes.redis_server import PROGRAMS, redis_server

PATIENCE_S = 15.0


class Store(Protocol):
    """Where snapshots are published, and which a test may take away."""

    def publish(self) -> bytes:
        """Publish a snapshot that is another than the last, and return it."""
        ...

    def lose(self) -> None:
        """Let nobody read it any more."""
        ...

    def mend(self) -> None:
        """Undo that."""
        ...

    def source(self) -> SnapshotSource:
        """Return a new reader of it."""
        ...


class SqliteStore:
    """The ledger's file."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self.path = folder / LEDGER_FILE
        self.ledger = open_ledger(folder, clock=ticking())
        self.changes = 0
        running.callback(self.ledger.close)

    def publish(self) -> bytes:
        if self.changes == 0:
            with_rollout(self.ledger)
        else:
            version = self.ledger.state().version
            self.ledger.change(moving(float(version), version), compiled, actor="ops")
        self.changes += 1
        sealed = self.ledger.sealed()
        assert sealed is not None
        return sealed

    def lose(self) -> None:
        self.path.rename(self.path.with_suffix(".away"))

    def mend(self) -> None:
        self.path.with_suffix(".away").rename(self.path)

    def source(self) -> SnapshotSource:
        return SnapshotReader(self.path)


class RedisStore:
    """A Redis that a test may hide behind a value that is none."""

    def __init__(self, access: RedisAccess, running: ExitStack) -> None:
        self.access = access
        self.store = RedisSnapshotStore(access)
        self.changes = 0
        self.present = b""
        running.callback(self.store.close)
        host, port = access.address.hosts[0]
        self.admin: Any = Redis(host=host, port=port, db=access.address.db, protocol=2)
        running.callback(self.admin.close)
        running.callback(self.admin.delete, KEY)
        self.admin.delete(KEY)

    def publish(self) -> bytes:
        self.changes += 1
        self.present = bytes([self.changes]) * 32 + b'{"version": %d}' % self.changes
        self.store.put(self.present)
        return self.present

    def lose(self) -> None:
        self.admin.delete(KEY)
        self.admin.rpush(KEY, b"a list")

    def mend(self) -> None:
        self.store.put(self.present)

    def source(self) -> SnapshotSource:
        return RedisSnapshots(self.access)


def _sqlite(folder: Path, running: ExitStack) -> Store:
    return SqliteStore(folder, running)


def _redis(folder: Path, running: ExitStack, *, program: str) -> Store:
    del folder
    return RedisStore(running.enter_context(redis_server(PROGRAMS[program]())).access, running)


def _given(folder: Path, running: ExitStack) -> Store:
    del folder
    url = os.environ.get("REDIS_URL")
    if url is None:
        pytest.skip("not exercised: REDIS_URL names no server")
    return RedisStore(RedisAccess(address=parse_redis_url(url)), running)


STORES: dict[str, Callable[[Path, ExitStack], Store]] = {
    "sqlite": _sqlite,
    **{program: partial(_redis, program=program) for program in PROGRAMS},
    "redis-url": _given,
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with ExitStack() as running:
        yield STORES[request.param](tmp_path, running)


@pytest.fixture
def source(store: Store) -> Iterator[SnapshotSource]:
    made = store.source()
    yield made
    made.close()


def next_of(source: SnapshotSource) -> bytes | None:
    """Poll as the watch does until there is something; what is wrong meanwhile is waited out."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            if (sealed := source.poll()) is not None:
                return sealed
        except StoreUnavailableError:
            pass
        time.sleep(0.02)
    return None


def quiet_for(source: SnapshotSource, seconds: float) -> bool:
    """Tell whether nothing came for so long; a busy machine may make a server late, which is no snapshot."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(StoreUnavailableError):
            if source.poll() is not None:
                return False
        time.sleep(0.02)
    return True


def trouble_of(source: SnapshotSource) -> str:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            source.poll()
        except StoreUnavailableError as error:
            return str(error)
        time.sleep(0.02)
    pytest.fail("it stays in order")


def test_before_the_first_snapshot_there_is_none(store: Store, source: SnapshotSource):
    assert quiet_for(source, 0.3)


def test_what_is_published_is_returned_once(store: Store, source: SnapshotSource):
    first = store.publish()

    assert next_of(source) == first
    assert quiet_for(source, 0.6)


def test_each_new_one_is_noticed_by_a_reader_that_waits(store: Store, source: SnapshotSource):
    assert quiet_for(source, 0.1)

    for _ in range(3):
        sealed = store.publish()
        assert next_of(source) == sealed


def test_a_reader_that_comes_late_gets_the_newest(store: Store, source: SnapshotSource):
    store.publish()
    newest = store.publish()

    assert next_of(source) == newest


def test_two_readers_do_not_take_from_each_other(store: Store, source: SnapshotSource):
    other = store.source()
    sealed = store.publish()

    assert next_of(source) == next_of(other) == sealed
    other.close()


def test_a_store_that_cannot_be_read_is_said_and_recovers_by_itself(store: Store, source: SnapshotSource):
    store.publish()
    next_of(source)

    store.lose()
    assert len(trouble_of(source)) > 20
    store.mend()

    sealed = store.publish()
    assert next_of(source) == sealed


def test_a_closed_reader_opens_again_and_still_returns_nothing_twice(store: Store, source: SnapshotSource):
    store.publish()
    next_of(source)
    source.close()

    assert quiet_for(source, 0.6)
    sealed = store.publish()
    assert next_of(source) == sealed
