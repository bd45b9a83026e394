from __future__ import annotations

import hmac
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.console.distribution import CHECK_S, FLEET_COPY, Distribution, remember_fleet
from gateway.settings.last_good import LastGood
from gateway.settings.snapshot import Snapshot, seal, unseal
from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis import KEY, RedisSnapshotStore
from rollout.stores.redis_client import RedisAccess
from tests.fakes.proxy import SECRETS, snapshot
from tests.fakes.redis_server import RedisServer, redis_server


class Ledger:
    """A `SnapshotSource` that gives each thing once."""

    def __init__(self) -> None:
        self.next: bytes | None = None

    def poll(self) -> bytes | None:
        given, self.next = self.next, None
        return given

    def close(self) -> None:
        pass


def open_seal(sealed: bytes) -> Snapshot:
    return unseal(sealed, SECRETS.snapshot)


def sealed(**changes: Any) -> bytes:
    return seal(snapshot(**changes), SECRETS.snapshot)


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


class Console:
    """A distribution with a clock that the test moves, over a real Redis."""

    def __init__(self, redis: RedisServer) -> None:
        redis.ask("FLUSHALL")
        self.redis = redis
        self.now = 100.0
        self.ledger = Ledger()
        self.store = RedisSnapshotStore(RedisAccess(address=redis.access.address, timeout_s=15))
        self.raised: list[Snapshot] = []
        self.distribution = Distribution(self.ledger, self.store, open_seal, self.raised.append, clock=lambda: self.now)

    def tick(self, given: bytes | None = None, *, after_s: float = 0.0) -> bytes | None:
        self.now += after_s
        self.ledger.next = given
        self.distribution.tick()
        return self.store.held()


@pytest.fixture
def console(shared: RedisServer) -> Iterator[Console]:
    made = Console(shared)
    yield made
    made.distribution.close()


def test_each_new_snapshot_goes_to_redis_at_once(console: Console):
    assert console.tick() is None

    assert console.tick(sealed(version=8)) == sealed(version=8)
    assert console.tick(sealed(version=9)) == sealed(version=9)


FOREIGN = hmac.digest(b"another key", b"{}", "sha256") + b"{}"


@pytest.mark.parametrize("value", [None, b"", b"x", FOREIGN, sealed(version=7), sealed(version=8)[:-1]])
def test_within_a_second_it_is_put_back_whatever_stands_there(console: Console, value: bytes | None):
    console.tick(sealed(version=8))

    console.redis.ask("DEL", KEY) if value is None else console.redis.ask("SET", KEY, value)

    assert console.tick(after_s=CHECK_S) == sealed(version=8)
    assert not console.raised


def test_even_when_it_is_a_list(console: Console):
    console.tick(sealed(version=8))
    console.redis.ask("DEL", KEY)
    console.redis.ask("RPUSH", KEY, "x")

    assert console.tick(after_s=CHECK_S) == sealed(version=8)


@pytest.mark.parametrize("later", [sealed(version=9), sealed(epoch=2, version=1)])
def test_what_the_fleet_has_seen_later_is_not_overwritten_but_caught_up_with_once(
    console: Console, caplog: pytest.LogCaptureFixture, later: bytes
):
    console.redis.ask("SET", KEY, later)

    assert console.tick(sealed(version=8)) == later
    assert [one.order for one in console.raised] == [open_seal(later).order]
    assert console.tick(sealed(epoch=3, version=1)) == sealed(epoch=3, version=1)

    console.redis.ask("SET", KEY, sealed(epoch=4, version=1))
    with caplog.at_level(logging.ERROR):
        assert console.tick(after_s=CHECK_S) == sealed(epoch=4, version=1)
    assert len(console.raised) == 1
    assert "another console writes to the same Redis" in caplog.text


def test_while_redis_is_away_it_says_so_once_and_delivers_afterwards(caplog: pytest.LogCaptureFixture):
    with redis_server() as own:
        console = Console(own)
        console.tick(sealed(version=8))
        own.end()

        with caplog.at_level(logging.ERROR):
            for given in (sealed(version=9), None, None):
                console.ledger.next = given
                console.now += CHECK_S
                console.distribution.tick()
        assert [line.message for line in caplog.records] == ["snapshot not distributed; it is tried again"]

        own.start()
        assert console.tick(after_s=CHECK_S) == sealed(version=9)
        console.distribution.close()


def left(folder: Path, snapshot: bytes) -> None:
    (folder / "lake").mkdir()
    LastGood(folder / "lake", "console", open_seal).keep(snapshot)


@pytest.mark.parametrize(
    ("in_redis", "in_lake", "kept"),
    [(8, 7, (1, 8)), (7, 8, (1, 8)), (None, 8, (1, 8)), (8, None, (1, 8)), (None, None, None)],
)
def test_a_starting_console_keeps_what_its_fleet_has_seen_last(
    console: Console, tmp_path: Path, in_redis: int | None, in_lake: int | None, kept: tuple[int, int] | None
):
    if in_redis is not None:
        console.redis.ask("SET", KEY, sealed(version=in_redis))
    if in_lake is not None:
        left(tmp_path, sealed(version=in_lake))

    remember_fleet(tmp_path / "run", console.store, tmp_path / "lake", open_seal)

    newest = LastGood(tmp_path / "run", "console", open_seal).newest()
    assert (newest.order if newest is not None else None) == kept
    assert (tmp_path / "run" / f"{FLEET_COPY}.snapshot").exists() == (kept is not None)


def test_what_cannot_be_asked_or_believed_is_left_out(console: Console, tmp_path: Path):
    console.redis.ask("SET", KEY, FOREIGN)

    remember_fleet(tmp_path / "run", console.store, None, open_seal)

    assert not (tmp_path / "run").exists()


class Away(RedisSnapshotStore):
    """A store that nobody can reach."""

    def held(self) -> bytes | None:
        message = "Redis is away"
        raise StoreUnavailableError(message)


def test_without_redis_the_lake_is_believed(shared: RedisServer, tmp_path: Path):
    left(tmp_path, sealed(version=8))

    remember_fleet(tmp_path / "run", Away(shared.access), tmp_path / "lake", open_seal)

    assert (tmp_path / "run" / f"{FLEET_COPY}.snapshot").exists()
