from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.console.distribution import CHECK_S, FLEET_COPY, RAISE_S, Distribution, Troubles, remember_fleet
from gateway.console.lease import GRACE_S, LEASE_S, Holder, Lease
from gateway.errors import ApiError
from gateway.settings.last_good import LastGood
from gateway.settings.snapshot import Snapshot, seal, unseal
from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis import KEY, LEASE, RedisSnapshotStore
from rollout.stores.redis_address import RedisAccess
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


class Patient(RedisSnapshotStore):
    """A store in which a lease outlasts the test, however slow the machine is."""

    def lease(self, value: bytes, for_s: float, *, anew: bool) -> bool:
        return super().lease(value, for_s if for_s < 1 else 600, anew=anew)


class Console:
    """A distribution with a clock that the test moves, over a real Redis."""

    def __init__(self, redis: RedisServer, name: str = "a", folder: Path | None = None) -> None:
        self.redis = redis
        self.now = 100.0
        self.heard: tuple[int, int] = (0, 0)
        self.ledger = Ledger()
        self.store = Patient(RedisAccess(address=redis.access.address, timeout_s=15))
        self.raised: list[tuple[tuple[int, int] | None, int | None]] = []
        self.refusal: ApiError | None = None
        holder = Holder(console=name, life=f"{name}-1", host=f"host-{name}", process=7, directory="/state")
        mark = (folder or Path("/nowhere")) / f"{name}.writer"
        self.lease = Lease(self.store, holder, mark, clock=lambda: self.now, wall_us=lambda: int(self.now * 1e6))
        self.distribution = Distribution(
            self.ledger,
            self.store,
            self.lease,
            open_seal,
            self.raise_epoch,
            heard=lambda: self.heard,
            clock=lambda: self.now,
        )

    def leave(self) -> None:
        self.lease.release()
        until = time.monotonic() + 10
        while self.store.leased() is not None:
            assert time.monotonic() < until
            time.sleep(0.01)

    def raise_epoch(self, last_good: Snapshot | None = None, *, above: int | None = None) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.raised.append((last_good.order if last_good is not None else None, above))

    def tick(self, given: bytes | None = None, *, after_s: float = 0.0) -> bytes | None:
        self.now += after_s
        self.ledger.next = given
        self.distribution.tick()
        return self.store.held()


@pytest.fixture
def console(shared: RedisServer, tmp_path: Path) -> Iterator[Console]:
    shared.ask("FLUSHALL")
    made = Console(shared, folder=tmp_path)
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
def test_what_the_fleet_has_seen_later_is_not_overwritten_but_caught_up_with(console: Console, later: bytes):
    console.redis.ask("SET", KEY, later)

    assert console.tick(sealed(version=8)) == later
    assert console.raised == [(open_seal(later).order, None)]
    assert console.tick(sealed(epoch=3, version=1)) == sealed(epoch=3, version=1)


def test_it_is_caught_up_with_as_often_as_needed_but_not_at_every_look(console: Console):
    console.tick(sealed(version=8))
    for epoch in (2, 3):
        console.redis.ask("SET", KEY, sealed(epoch=epoch, version=1))
        console.tick(after_s=RAISE_S)
        console.tick(after_s=CHECK_S)

    assert console.raised == [((2, 1), None), ((3, 1), None)]


def test_what_other_hosts_tell_is_caught_up_with_when_redis_has_forgotten_it(console: Console):
    console.tick(sealed(epoch=3, version=3))
    console.redis.ask("FLUSHALL")
    console.heard = (4, 1)

    assert console.tick(after_s=CHECK_S) is None
    assert console.raised == [(None, 4)]
    assert console.tick(sealed(epoch=5, version=1)) == sealed(epoch=5, version=1)


def test_a_ledger_that_refuses_is_said_and_tried_again(console: Console):
    console.heard, console.refusal = (4, 1), ApiError("the ledger is gone")
    console.tick(sealed(version=8))
    assert console.distribution.trouble == "the ledger is gone"

    console.refusal = None
    console.tick(after_s=RAISE_S)
    assert console.raised == [(None, 4)]
    assert console.distribution.trouble is None


@pytest.fixture
def second(shared: RedisServer, tmp_path: Path) -> Iterator[Console]:
    made = Console(shared, "b", tmp_path)
    yield made
    made.distribution.close()


def test_a_second_console_publishes_nothing_raises_nothing_and_names_the_first(console: Console, second: Console):
    first = console.tick(sealed(version=8))

    assert second.tick(sealed(epoch=2, version=1)) == first
    assert second.tick(after_s=CHECK_S) == first
    assert not second.lease.is_writer
    assert "process 7 on host host-a" in (second.lease.refusal() or "")
    assert (console.lease.refusal(), console.raised, second.raised) == (None, [], [])


def test_after_a_flush_the_former_holder_is_first(console: Console, second: Console):
    console.tick(sealed(version=8))
    second.tick(sealed(epoch=2, version=1))
    console.redis.ask("FLUSHALL")

    assert second.tick(after_s=CHECK_S) is None
    assert console.tick(after_s=CHECK_S) == sealed(version=8)
    assert second.tick(after_s=GRACE_S) == sealed(version=8)
    assert second.lease.refusal() is not None


@pytest.mark.parametrize("command", ["PING", "FLUSHALL"])
def test_it_takes_over_when_the_first_is_gone_and_keeps_what_that_said(console: Console, second: Console, command: str):
    console.tick(sealed(version=8))
    second.tick(sealed(epoch=2, version=1))
    console.leave()
    console.redis.ask(command)

    second.tick(after_s=CHECK_S)
    assert not second.lease.is_writer
    second.tick(after_s=GRACE_S)

    assert second.lease.is_writer
    assert second.raised == [((1, 8), 2)]
    assert second.tick(sealed(epoch=3, version=1)) == sealed(epoch=3, version=1)


def test_a_first_console_that_comes_back_is_the_second_then(console: Console, second: Console):
    console.tick(sealed(version=8))
    second.tick(sealed(epoch=2, version=1))
    console.leave()
    second.tick(after_s=CHECK_S)
    second.tick(after_s=GRACE_S)

    console.tick(sealed(version=9), after_s=LEASE_S)

    assert console.lease.refusal() is not None
    assert not console.raised


def test_what_somebody_with_another_secret_left_is_replaced_by_what_goes_on_from_the_last_word(
    console: Console, second: Console
):
    second.tick(sealed(version=8))
    console.tick(sealed(epoch=2, version=1))
    second.store.put(FOREIGN)
    second.leave()
    console.tick(after_s=CHECK_S)

    console.tick(after_s=GRACE_S)
    assert console.raised == [((1, 8), 2)]
    assert console.tick(sealed(epoch=3, version=1)) == sealed(epoch=3, version=1)


def test_who_lost_the_lease_to_nobody_in_earnest_goes_on_with_its_own(console: Console, second: Console):
    console.tick(sealed(version=8))
    console.redis.ask("DEL", LEASE)
    second.lease.look()
    console.tick(after_s=CHECK_S)
    assert not console.lease.is_writer
    second.leave()
    console.tick(after_s=CHECK_S)

    assert console.tick(sealed(version=9), after_s=GRACE_S) == sealed(version=9)
    assert not console.raised


def test_each_reason_of_a_trouble_is_said_once_until_the_trouble_is_over(caplog: pytest.LogCaptureFixture):
    troubles = Troubles()
    with caplog.at_level(logging.INFO):
        for reason in ("refused", "timed out", "refused", "timed out", None, None, "refused"):
            troubles.note("not distributed", reason)

    assert [line.message for line in caplog.records] == [
        "not distributed",
        "not distributed",
        "over: not distributed",
        "not distributed",
    ]
    assert troubles.of("not distributed") == "refused"


def test_while_redis_is_away_it_says_so_once_and_delivers_afterwards(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with redis_server() as own:
        console = Console(own, folder=tmp_path)
        console.tick(sealed(version=8))
        own.end()

        with caplog.at_level(logging.ERROR):
            for given in (sealed(version=9), None, None):
                console.ledger.next = given
                console.now += CHECK_S
                console.distribution.tick()
                console.distribution.tick()
                assert console.lease.refusal() is None
        assert "cannot be used" in (console.distribution.trouble or "")
        errors = [line for line in caplog.records if line.levelno == logging.ERROR]
        assert [line.message for line in errors] == ["snapshot not distributed; it is tried again"]

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
