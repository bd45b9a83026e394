"""What befalls Redis or the console of a fleet costs no request, moves no user, and can be recomputed from the records.

Nobody's wait is longer for it either: the full form measures that in pairs of rounds.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from rollout.stores.redis import KEY
from tests.acceptance.callers import Answer, failures, load
from tests.acceptance.fleet import Fleet, fleet
from tests.acceptance.harness import SECRET, Installation, until
from tests.acceptance.redis_faults import (
    POISONED_EVERY_S,
    Befalling,
    blackholed,
    emptied,
    killed,
    poisoned,
    stopped,
    without_console,
)
from tests.acceptance.rounds import beating, paired
from tests.fakes.link import Fault, Link, linked
from tests.fakes.placement import misplaced
from tests.fakes.redis_server import RedisServer, redis_server

log = logging.getLogger("acceptance")
USERS = [f"user-{number}" for number in range(40)]
SLOW = [pytest.mark.slow, pytest.mark.timeout(1_200)]
LONG_S = 60.0
BUSY_S = 10.0
"""Room for a busy machine in the short forms: what they look for is a change that never comes."""
REJOINED_S = 2.0
ADDED_P99_MS = 1.0


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def link(redis: RedisServer) -> Iterator[Link]:
    with linked(redis.port) as running:
        yield running


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, link: Link) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet"), redis, redis_url=f"redis://127.0.0.1:{link.port}") as made:
        started(made)
        yield made


@pytest.fixture
def faults(link: Link) -> dict[str, Befalling]:
    return {
        "stopped": stopped,
        "killed": killed,
        "blackholed": lambda _: blackholed(link),
        "emptied": emptied,
        "poisoned": poisoned,
        "without-console": without_console,
    }


NAMES = ["stopped", "killed", "blackholed", "emptied", "poisoned", "without-console"]


def started(made: Fleet) -> None:
    gateways = [made.add(name, "gateway", is_waited_for=False) for name in ("north", "south")]
    made.add("console", "console")
    for gateway in gateways:
        made.wait_until_ready(gateway)


@contextmanager
def used(one: Fleet) -> Iterator[list[list[Answer]]]:
    """Have every gateway asked by the same users while the block lasts."""
    with ExitStack() as asking:
        yield [asking.enter_context(load(host, USERS, at_once=2, pause_s=0.02)) for host in one.gateways]


def at(one: Fleet, percent: float) -> str:
    """Bring a percent to every worker; return the version."""
    version = one.put_percent(percent)
    one.wait_for(version)
    return version


def assert_nobody_noticed(answers: list[list[Answer]], percent: float) -> None:
    """Check that no request failed, and that each user was where this percent leads to, all the time."""
    assert all(len(each) > 5 for each in answers)
    assert not [wrong for each in answers for wrong in failures(each)]
    wanted = {answer.headers["x-turnout-bucket"]: answer.arm for each in answers for answer in each}
    assert wanted == {bucket: "candidate" if int(bucket) < percent * 100 else "base" for bucket in wanted}
    assert not [
        answer for each in answers for answer in each if answer.arm != wanted[answer.headers["x-turnout-bucket"]]
    ]


def assert_records_recompute(one: Fleet, at_least: int) -> None:
    """Compute the arm of every record that the lake holds by now."""
    rows = one.rows()
    log.info("%d records recomputed", len(rows))
    assert len(rows) >= at_least
    assert not list(misplaced(rows, SECRET, USERS, one.percents))[:5]


def assert_rejoined(one: Fleet, percent: float, for_s: float) -> None:
    """Make a change, which every worker decides by soon."""
    took_s = one.wait_for(one.put_percent(percent))
    log.info("a change is in force again %.2f s afterwards", took_s)
    assert took_s <= (REJOINED_S if for_s >= LONG_S else BUSY_S)


@pytest.mark.parametrize(
    ("name", "for_s"),
    [*((name, 0.6) for name in NAMES), *(pytest.param(name, LONG_S, marks=SLOW) for name in NAMES)],
)
def test_whatever_befalls_no_request_fails_and_no_user_moves(
    name: str, for_s: float, one: Fleet, faults: dict[str, Befalling]
):
    version = at(one, 50)

    with used(one) as answers:
        with faults[name](one):
            time.sleep(for_s)
            assert one.versions() == {version}
        assert_rejoined(one, 50.01, for_s)
        time.sleep(0.2)

    assert_nobody_noticed(answers, 50)
    assert_records_recompute(one, sum(map(len, answers)))
    assert POISONED_EVERY_S * 1_000 < LONG_S


@pytest.mark.parametrize(
    ("name", "pairs", "seconds"),
    [("blackholed", 1, 0.4), *(pytest.param(name, 10, LONG_S / 10, marks=SLOW) for name in NAMES)],
)
def test_nobody_waits_for_it(name: str, pairs: int, seconds: float, one: Fleet, faults: dict[str, Befalling]):
    at(one, 50)

    with beating(one.gateways, USERS) as beat:
        found = paired(beat, partial(faults[name], one), pairs=pairs, seconds=seconds)

    log.info("%s: %s", name, found)
    assert all(head.startswith(b"http/1.1 200") for head in beat.heads)
    added_ms = found.added_ms(0.99)
    assert added_ms <= ADDED_P99_MS or pairs < 10


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A Redis with a replica, behind a network of their own, and a sentinel that knows where the master is."""

    master: RedisServer
    replica: RedisServer
    between: Link
    sentinel: RedisServer

    def role(self) -> bytes:
        return self.replica.ask("ROLE")[0]

    def place(self) -> Any:
        """Return where the sentinel says that the master is."""
        return self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")

    @contextmanager
    def failing_over(self) -> Iterator[None]:
        """Let the two change their parts."""
        before = self.place()
        until(self._asked, "the sentinel finds a replica that can take over")
        yield
        until(lambda: self.place() != before, "the replica has taken over")

    def _asked(self) -> bool:
        try:
            self.sentinel.ask("SENTINEL", "FAILOVER", "main")
        except ResponseError:
            return False
        return True


@pytest.fixture
def watched() -> Iterator[Watched]:
    with redis_server() as master, redis_server() as replica, linked(master.port) as between:
        master.ask("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        replica.ask("REPLICAOF", "127.0.0.1", str(between.port))
        until(lambda: b"connected" in replica.ask("ROLE"), "the replica follows")
        with redis_server(sentinel_of=master) as sentinel:
            sentinel.ask("SENTINEL", "SET", "main", "down-after-milliseconds", "1000")
            until(lambda: bool(sentinel.ask("SENTINEL", "REPLICAS", "main")), "the sentinel knows the replica")
            yield Watched(master=master, replica=replica, between=between, sentinel=sentinel)


@contextmanager
def silent(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def has_refused(host: Installation) -> bool:
    """Tell whether both workers of a host have said that they refused an older snapshot."""
    return len({line["process"] for line in host.log() if "is older than" in line.get("reason", "")}) == 2


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_nobody_waits_for_failovers(watched: Watched, tmp_path: Path):
    url = f"redis+sentinel://127.0.0.1:{watched.sentinel.port}/main"
    with fleet(tmp_path, watched.master, redis_url=url) as one:
        started(one)
        at(one, 50)

        with beating(one.gateways, USERS) as beat:
            found = paired(beat, watched.failing_over, pairs=10, seconds=LONG_S / 10)

        log.info("failovers: %s", found)
        assert all(head.startswith(b"http/1.1 200") for head in beat.heads)
        added_ms = found.added_ms(0.99)
        assert added_ms <= ADDED_P99_MS
        assert_rejoined(one, 60, LONG_S)


@pytest.mark.slow
@pytest.mark.parametrize("for_s", [0.5, pytest.param(LONG_S, marks=SLOW)])
def test_time_is_not_turned_back_by_a_failover_to_an_older_value(for_s: float, watched: Watched, tmp_path: Path):
    master, replica = watched.master, watched.replica
    url = f"redis+sentinel://127.0.0.1:{watched.sentinel.port}/main"
    with fleet(tmp_path, master, redis_url=url) as one:
        started(one)
        at(one, 10)
        until(lambda: replica.ask("GET", KEY) == master.ask("GET", KEY), "the replica has the value")
        watched.between.turn(upward=Fault(swallows=True), downward=Fault(swallows=True))
        newer = at(one, 80)
        newest, older = master.ask("GET", KEY), replica.ask("GET", KEY)
        assert newest != older

        with used(one) as answers:
            with silent(one.console.pid("console")):
                master.end()
                watched.sentinel.ask("SENTINEL", "SET", "main", "failover-timeout", "3000")
                took_s = until(lambda: watched.role() == b"master", "the replica is promoted")
                log.info("promoted after %.1f s", took_s)
                until(lambda: all(map(has_refused, one.gateways)), "every worker has seen the older value")
            until(lambda: replica.ask("GET", KEY) == newest, "the console puts the newer one there")
            assert one.versions() == {newer}
            assert_rejoined(one, 80.01, for_s)
            master.start()
            time.sleep(for_s)

        assert_nobody_noticed(answers, 80)
        assert_records_recompute(one, sum(map(len, answers)))
