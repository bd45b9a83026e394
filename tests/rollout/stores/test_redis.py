"""What Redis adds to the contract of every source: a store that hangs, forgets, is poisoned, or deaf."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis import (
    KEY,
    LARGEST_BYTES,
    LEASE,
    POLL_S,
    REST_S,
    RedisSnapshots,
    RedisSnapshotStore,
)
from rollout.stores.redis_address import RedisAccess, RedisAddress, parse_redis_url
from tests.fakes.redis_server import PROGRAMS, RedisServer, redis_server, require_tls
from tests.fakes.upstream import CERTIFICATE

FIRST, SECOND = b"1" * 40, b"2" * 40
PATIENCE_S = 15.0


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> Path:
    return PROGRAMS[request.param]()


@pytest.fixture(scope="module")
def shared(program: Path) -> Iterator[RedisServer]:
    with redis_server(program) as server:
        yield server


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    shared.ask("FLUSHALL")
    return shared


class Reader:
    """A reader with a clock that the test moves, and no randomness."""

    def __init__(self, access: RedisAccess) -> None:
        self.now = 100.0
        self.source = RedisSnapshots(access, clock=lambda: self.now, randomness=lambda: 0.0)

    def after(self, seconds: float) -> bytes | None:
        self.now += seconds
        return self.source.poll()

    def trouble_after(self, seconds: float) -> str:
        with pytest.raises(StoreUnavailableError) as trouble:
            self.after(seconds)
        return str(trouble.value)


def patient(server: RedisServer, **account: str) -> RedisAccess:
    """Return an access that does not mind a busy machine."""
    return replace(server.access, timeout_s=PATIENCE_S, **account)


@pytest.fixture
def reader(server: RedisServer) -> Iterator[Reader]:
    made = Reader(patient(server))
    yield made
    made.source.close()


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisSnapshotStore]:
    with closing(RedisSnapshotStore(patient(server))) as made:
        yield made


def test_a_hint_makes_it_look_before_its_time(reader: Reader, store: RedisSnapshotStore):
    assert reader.after(0) is None
    store.put(FIRST)

    heard = [reader.after(0) for _ in range(500) if time.sleep(0.002) is None]

    assert FIRST in heard


def test_without_a_hint_it_looks_every_half_second(server: RedisServer, reader: Reader):
    assert reader.after(0) is None
    server.ask("SET", KEY, FIRST)

    assert reader.after(POLL_S - 0.01) is None
    assert reader.after(0.02) == FIRST


def test_an_emptied_redis_is_said_and_the_same_value_is_nothing_new(server: RedisServer, reader: Reader):
    server.ask("SET", KEY, FIRST)
    assert reader.after(0) == FIRST

    server.ask("FLUSHALL")
    assert "is gone from Redis at 127.0.0.1" in reader.trouble_after(POLL_S)
    server.ask("SET", KEY, FIRST)

    assert reader.after(REST_S) is None


def test_what_is_too_large_is_not_fetched(server: RedisServer, reader: Reader):
    server.ask("SETRANGE", KEY, str(LARGEST_BYTES), "x")

    assert f"has {LARGEST_BYTES + 1} bytes" in reader.trouble_after(0)


def test_a_trouble_is_repeated_without_asking_until_its_rest_is_over(server: RedisServer, reader: Reader):
    server.ask("RPUSH", KEY, "x")
    trouble = reader.trouble_after(0)
    server.ask("DEL", KEY)
    server.ask("SET", KEY, FIRST)

    assert reader.trouble_after(REST_S / 2) == trouble
    assert reader.after(REST_S) == FIRST


def test_a_server_that_hangs_costs_a_fifth_of_a_second_and_is_asked_again(server: RedisServer):
    server.ask("SET", KEY, FIRST)
    reader = Reader(server.access)
    with suppress(StoreUnavailableError):
        reader.after(0)

    server.pause()
    try:
        began = time.monotonic()
        trouble = reader.trouble_after(REST_S)
        took_s = time.monotonic() - began
    finally:
        server.resume()
    server.ask("SET", KEY, SECOND)

    assert "cannot be used" in trouble
    assert took_s < 2.0
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            assert reader.after(REST_S) == SECOND
        except StoreUnavailableError:
            continue
        return
    pytest.fail("it is not asked again")


def test_a_server_that_is_not_there_is_said_with_its_place():
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    access = RedisAccess(address=parse_redis_url(f"redis://127.0.0.1:{port}"))

    assert f"Redis at 127.0.0.1:{port} cannot be used" in Reader(access).trouble_after(0)


def test_who_may_not_subscribe_gets_changes_by_looking(server: RedisServer):
    server.ask("ACL", "SETUSER", "deaf", "on", ">secret", "~*", "resetchannels", "+@all")
    reader = Reader(patient(server, username="deaf", password="secret"))
    with closing(reader.source):
        assert reader.after(0) is None
        server.ask("SET", KEY, FIRST)

        assert reader.after(POLL_S) == FIRST


RIGHTS = "-@all +ping +get +getrange +strlen +select"


def test_the_documented_rights_are_enough_for_each_side_and_no_more(server: RedisServer):
    for name, key, words in (
        ("console", "~turnout:snapshot ~turnout:snapshot:console", "+set +publish"),
        ("gateway", "%R~turnout:snapshot", "+subscribe +unsubscribe"),
    ):
        rights = ["resetkeys", *key.split(), "resetchannels", "&turnout:snapshot:hint", *RIGHTS.split(), *words.split()]
        server.ask("ACL", "SETUSER", name, "on", ">secret", *rights)
    reader = Reader(patient(server, username="gateway", password="secret"))
    store = RedisSnapshotStore(patient(server, username="console", password="secret"))
    intruder = RedisSnapshotStore(patient(server, username="gateway", password="secret"))
    with closing(reader.source), closing(store), closing(intruder):
        assert reader.after(0) is None
        store.put(FIRST)
        assert store.holds(FIRST)
        assert store.lease(b"mine", 60, anew=True)
        assert store.leased() == b"mine"
        assert reader.after(POLL_S) == FIRST
        with pytest.raises(StoreUnavailableError, match="permission"):
            intruder.put(SECOND)
        with pytest.raises(StoreUnavailableError, match=f"let the console's user have the key too: ~{LEASE}"):
            intruder.lease(b"theirs", 60, anew=False)
        with pytest.raises(StoreUnavailableError, match=f"let the console's user have the key too: ~{LEASE}"):
            intruder.leased()


def test_a_wrong_password_is_said_and_not_shown(server: RedisServer):
    server.ask("ACL", "SETUSER", "someone", "on", ">right", "~*", "+@all")
    access = patient(server, username="someone", password="hunter2")

    trouble = Reader(access).trouble_after(0)

    assert "cannot be used" in trouble
    assert "hunter2" not in trouble


def test_the_store_tells_its_own_value_from_every_other(server: RedisServer, store: RedisSnapshotStore):
    assert (store.holds(FIRST), store.held()) == (False, None)

    store.put(FIRST)
    assert (store.holds(FIRST), store.holds(SECOND), store.held()) == (True, False, FIRST)

    server.ask("DEL", KEY)
    server.ask("RPUSH", KEY, "x")
    assert (store.holds(FIRST), store.held()) == (False, None)

    store.put(SECOND)
    assert store.held() == SECOND


def test_more_than_workers_would_take_is_not_put(store: RedisSnapshotStore):
    with pytest.raises(StoreUnavailableError, match="shorten"):
        store.put(b"x" * (LARGEST_BYTES + 1))


def test_sentinels_are_asked_for_the_master(program: Path, server: RedisServer):
    """A sentinel is a server in another mode: it watches the test's own server, and tells where that is."""
    with redis_server(program, sentinel_of=server) as sentinel:
        address = RedisAddress(hosts=[("127.0.0.1", sentinel.port)], sentinel_name="main")
        with closing(RedisSnapshotStore(RedisAccess(address=address, timeout_s=PATIENCE_S))) as store:
            until = time.monotonic() + PATIENCE_S
            while time.monotonic() < until:
                try:
                    store.put(FIRST)
                    break
                except StoreUnavailableError:
                    time.sleep(0.1)

    assert server.ask("GET", KEY) == FIRST


@pytest.fixture(scope="module")
def encrypted(program: Path) -> Iterator[RedisServer]:
    with redis_server(require_tls(program), tls=True) as server:
        yield server


def test_an_encrypted_server_is_trusted_by_its_authoritys_file_and_its_hints_are_heard(encrypted: RedisServer):
    reader = Reader(patient(encrypted))
    with closing(reader.source), closing(RedisSnapshotStore(patient(encrypted))) as store:
        assert reader.after(0) is None
        store.put(FIRST)

        assert FIRST in [reader.after(0) for _ in range(500) if time.sleep(0.002) is None]

        store.put(SECOND)
        assert reader.after(POLL_S) == SECOND


@pytest.mark.parametrize(
    ("place", "ca_file"),
    [("127.0.0.1", None), ("localhost", str(CERTIFICATE))],
    ids=["unknown-authority", "other-name"],
)
def test_an_encrypted_server_is_not_believed_for_nothing(encrypted: RedisServer, place: str, ca_file: str | None):
    address = parse_redis_url(f"rediss://{place}:{encrypted.port}")

    trouble = Reader(RedisAccess(address=address, ca_file=ca_file, timeout_s=PATIENCE_S)).trouble_after(0)

    assert "CERTIFICATE_VERIFY_FAILED" in trouble


def test_an_encrypted_server_answers_nobody_who_speaks_plainly(encrypted: RedisServer):
    address = parse_redis_url(f"redis://127.0.0.1:{encrypted.port}")

    assert "cannot be used" in Reader(RedisAccess(address=address, timeout_s=PATIENCE_S)).trouble_after(0)


def test_a_lease_is_had_by_one_and_ends_by_itself(server: RedisServer, store: RedisSnapshotStore):
    server.ask("DEL", LEASE)
    assert store.leased() is None
    assert store.lease(b"first", 600, anew=True)
    assert not store.lease(b"second", 600, anew=True)
    assert store.leased() == b"first"
    assert store.lease(b"first again", 600, anew=False)
    assert 0 < server.ask("PTTL", LEASE) <= 600_000

    assert store.lease(b"first", 0.001, anew=False)

    until = time.monotonic() + 10
    while store.leased() is not None:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_whatever_lies_where_the_lease_belongs_can_be_replaced(server: RedisServer, store: RedisSnapshotStore):
    server.ask("DEL", LEASE)
    server.ask("RPUSH", LEASE, "x")
    assert store.leased() not in {None, b"mine"}

    assert store.lease(b"mine", 600, anew=False)

    assert store.leased() == b"mine"
    server.ask("DEL", LEASE)
