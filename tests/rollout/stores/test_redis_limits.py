"""Limits in Redis survive what somebody writes there, and whoever waits for it waits shortly."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollout.lease import Ask
from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis_address import RedisAccess, parse_redis_url
from rollout.stores.redis_limits import PREFIX, REST_S, RedisLeases
from tests.fakes.redis_server import RedisServer, redis_server

PATIENCE_S = 15.0
ASKS = [
    Ask(kind="slots", name="web", limit=10, has=3),
    Ask(kind="rate", name="web", limit=10, known_free=10),
    Ask(kind="cost", name="web", limit=10, has=3, day=2**20, known_free=7),
]
OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


def documented() -> list[str]:
    """Return the rights that a gateway's account is given by the document."""
    line = next(line for line in OPERATIONS.read_text().splitlines() if line.startswith("user turnout-gateway "))
    return line.partition(" >PASSWORD ")[2].split()


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


def patient(server: RedisServer, **account: Any) -> RedisAccess:
    """A busy machine may make a server late; what is late is judged by the clock that a test gives."""
    return msgspec.structs.replace(server.access, timeout_s=PATIENCE_S, **account)


class Host:
    """One host, whose clock is the test's."""

    def __init__(self, access: RedisAccess) -> None:
        self.now_s = 100.0
        self.each_look_s = 0.0
        self.store = RedisLeases(access, clock=self.clock, randomness=lambda: 0.0)

    def clock(self) -> float:
        self.now_s += self.each_look_s
        return self.now_s

    def granted(self, name: str = "h1") -> list[int]:
        return [answer.granted for answer in self.store.settle(name, ASKS).answers]

    def trouble(self) -> str:
        with pytest.raises(StoreUnavailableError) as caught:
            self.granted()
        return str(caught.value)


@pytest.fixture
def host(server: RedisServer) -> Iterator[Host]:
    made = Host(patient(server))
    with closing(made.store):
        yield made


def test_a_server_that_forgot_the_script_is_told_it_again(server: RedisServer, host: Host):
    for _ in range(3):
        assert host.granted() == [3, 0, 3]
        server.ask("SCRIPT", "FLUSH")
    host.store.close()
    assert host.granted() == [3, 0, 3]


@pytest.mark.parametrize("key", ["since", "hosts", "slots:web", "rate:web", "cost:web"])
def test_what_somebody_else_wrote_counts_as_lost(server: RedisServer, host: Host, key: str):
    host.granted()
    server.ask("DEL", f"{PREFIX}:{key}")
    server.ask("RPUSH", f"{PREFIX}:{key}", "a list")
    assert host.granted() == [3, 0, 3]

    for field in server.ask("HKEYS", f"{PREFIX}:{key}"):
        for word in ("", "nan", "1e400", "-", "9" * 400, "7 x", b"\xff\0"):
            server.ask("HSET", f"{PREFIX}:{key}", field, word, "@other", word, "lost", word)
            answers = host.store.settle("h1", ASKS).answers
            assert [answer.granted for answer in answers] == [3, 0, 3]
            assert all(0 <= answer.free <= 10 for answer in answers)


def test_every_limit_is_of_its_own_name_whatever_is_in_it(server: RedisServer, host: Host):
    names = ["web", "web:x", "wéb {1} \n", "lost"]
    asks = [Ask(kind="slots", name=name, limit=10, has=number) for number, name in enumerate(names)]

    assert [answer.granted for answer in host.store.settle("lost", asks).answers] == [0, 1, 2, 3]
    assert sorted(server.ask("KEYS", "*")) == sorted(
        f"{PREFIX}:{word}".encode() for word in ("since", "hosts", *(f"slots:{name}" for name in names))
    )


def test_when_a_servers_clock_goes_back_hosts_are_not_forgotten(server: RedisServer, host: Host):
    server.ask("HSET", f"{PREFIX}:since", "born", "1", "awake", str(2**50))
    server.ask("HSET", f"{PREFIX}:hosts", "@h0", f"{2**50} {2**50}")

    settled = host.store.settle("h1", ASKS)
    assert (settled.hosts, settled.rank, settled.is_young) == (2, 1, False)
    assert int(server.ask("HGET", f"{PREFIX}:hosts", "@h0").split()[0]) < 2**50


def test_after_a_failure_it_is_left_alone_for_a_while_and_then_asked_again(server: RedisServer, host: Host):
    host.granted()
    server.end()
    place = f"Redis at 127.0.0.1:{server.port} cannot be used"
    trouble = host.trouble()
    assert trouble.startswith(place)

    server.start()
    host.now_s += REST_S * 0.9
    assert host.trouble() == trouble
    host.now_s += REST_S * 0.2
    assert host.granted() == [3, 0, 3]


def test_an_answer_that_took_long_is_taken_and_the_next_is_not_waited_for(host: Host):
    host.each_look_s = 0.15
    assert host.granted() == [3, 0, 3]
    host.each_look_s = 0.3
    assert host.granted() == [3, 0, 3]

    assert "took 0.3 s to answer" in host.trouble()
    host.now_s += REST_S
    assert host.granted() == [3, 0, 3]


def test_a_server_that_is_not_there_is_said_with_its_place():
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]

    host = Host(RedisAccess(address=parse_redis_url(f"redis://127.0.0.1:{port}")))
    assert f"Redis at 127.0.0.1:{port} cannot be used" in host.trouble()


def test_the_documented_rights_are_enough_and_the_script_needs_each_of_them(server: RedisServer):
    server.ask("ACL", "SETUSER", "gateway", "on", ">secret", *documented())
    host = Host(patient(server, username="gateway", password="secret"))
    with closing(host.store):
        server.ask("RPUSH", f"{PREFIX}:since", "a list")
        assert host.granted() == [3, 0, 3]
        assert host.granted() == [3, 0, 3]

    for word in ("eval", "evalsha", "time", "hgetall", "hset", "hdel", "del", "pexpire"):
        server.ask("FLUSHALL")
        server.ask("SCRIPT", "FLUSH")
        server.ask("ACL", "SETUSER", "lesser", "reset", "on", ">secret", *documented(), f"-{word}")
        lesser = Host(patient(server, username="lesser", password="secret"))
        with closing(lesser.store):
            server.ask("RPUSH", f"{PREFIX}:since", "a list")
            server.ask("HSET", f"{PREFIX}:cost:web", "@gone", "1 1 1")
            assert "cannot be used" in lesser.trouble(), word
