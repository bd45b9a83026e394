"""What every store of leases promises to the hosts that share a fleet's limits: the one in memory, and Redis."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Protocol

import msgspec
import pytest
from redis import Redis

from rollout.lease import DEAD_MS, YOUNG_MS, Answer, Ask, Kind, LeaseStore, Settled
from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis_address import RedisAccess, parse_redis_url
from rollout.stores.redis_limits import PREFIX, RedisLeases
from tests.fakes.leases import DAY_MS, MemoryLeases
from tests.fakes.redis_server import PROGRAMS, redis_server

PATIENCE_S = 20.0
MUCH = 10**12
"""A rate or a cap that nothing here reaches by waiting."""


class Fleet(Protocol):
    """A store, and hosts that speak to it."""

    def store(self) -> LeaseStore:
        """Return a host's way to it."""
        ...

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        ...

    def flush(self) -> None:
        """Let the store forget everything."""
        ...

    def age(self) -> None:
        """Make it a store that remembers for long."""
        ...


class MemoryFleet:
    """One store in memory, with a clock that stands still."""

    def __init__(self) -> None:
        self.now_ms = 20_000 * DAY_MS + DAY_MS // 2
        self.shared = MemoryLeases(lambda: self.now_ms)

    def store(self) -> LeaseStore:
        return self.shared

    def wait(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)

    def flush(self) -> None:
        self.shared.flush()

    def age(self) -> None:
        self.wait(YOUNG_MS / 1000)


class RedisFleet:
    """A Redis, with a connection for each host. On somebody's server the keys of this test alone are removed."""

    def __init__(self, access: RedisAccess, running: ExitStack, *, is_ours: bool) -> None:
        self.access = access
        self.running = running
        self.is_ours = is_ours
        host, port = access.address.hosts[0]
        self.admin: Any = Redis(host=host, port=port, db=access.address.db, protocol=2)
        running.callback(self.admin.close)

    def store(self) -> LeaseStore:
        made = RedisLeases(self.access)
        self.running.callback(made.close)
        return made

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def flush(self) -> None:
        if not self.is_ours:
            pytest.skip("not exercised: nothing is flushed on a server that is not the test's own")
        self.admin.flushall()

    def age(self) -> None:
        if self.is_ours:
            self.admin.hset(f"{PREFIX}:since", "born", 1)
        else:
            time.sleep(YOUNG_MS / 1000)


def _memory(running: ExitStack) -> Fleet:
    del running
    return MemoryFleet()


def _redis(running: ExitStack, *, program: str) -> Fleet:
    server = running.enter_context(redis_server(PROGRAMS[program]()))
    return RedisFleet(msgspec.structs.replace(server.access, timeout_s=PATIENCE_S), running, is_ours=True)


def _given(running: ExitStack) -> Fleet:
    url = os.environ.get("REDIS_URL")
    if url is None:
        pytest.skip("not exercised: REDIS_URL names no server")
    return RedisFleet(RedisAccess(address=parse_redis_url(url), timeout_s=PATIENCE_S), running, is_ours=False)


FLEETS: dict[str, Callable[[ExitStack], Fleet]] = {
    "memory": _memory,
    **{program: partial(_redis, program=program) for program in PROGRAMS},
    "redis-url": _given,
}


class Hosts:
    """Some hosts of one fleet, and one application whose name is nobody else's."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.names: list[str] = []
        self.name = self.named()
        self.stores: dict[str, LeaseStore] = {}

    def named(self) -> str:
        self.names.append(f"test-{uuid.uuid4().hex}")
        return self.names[-1]

    def settle(self, host: str, asks: Sequence[Ask]) -> Settled:
        """Ask until there is an answer: a busy machine may make one late."""
        store = self.stores.setdefault(host, self.fleet.store())
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                return store.settle(f"{self.name}-{host}", asks)
            except StoreUnavailableError:
                time.sleep(0.05)
        pytest.fail("the store does not answer")

    def one(self, host: str, ask: Ask) -> Answer:
        return self.settle(host, [ask]).answers[0]

    def slots(self, host: str, **said: Any) -> Answer:
        return self.one(host, Ask(kind="slots", name=self.name, **{"limit": 10, **said}))

    def rate(self, host: str, **said: Any) -> Answer:
        return self.one(host, Ask(kind="rate", name=self.name, **{"limit": 10, **said}))

    def cost(self, host: str, **said: Any) -> Answer:
        return self.one(host, Ask(kind="cost", name=self.name, **{"limit": MUCH, "known_free": 0, **said}))

    def lose(self, host: str, ask: Ask) -> None:
        """Let the host ask in vain: it was heard, and no answer came."""
        if isinstance(self.fleet, MemoryFleet):
            self.fleet.shared.loses_answers = True
            with pytest.raises(StoreUnavailableError):
                self.fleet.store().settle(f"{self.name}-{host}", [ask])
            self.fleet.shared.loses_answers = False
        else:
            self.fleet.store().settle(f"{self.name}-{host}", [ask])

    def beat(self) -> None:
        """Let all hosts that ever spoke give a sign of life."""
        for host in sorted(self.stores):
            self.settle(host, [])

    def grown(self) -> Hosts:
        """Let the store be no longer young."""
        if self.settle("a", []).is_young:
            self.fleet.age()
            assert not self.settle("a", []).is_young
        return self

    def until(self, expected: int, ask: Callable[[], Answer]) -> Answer:
        """Ask until so much is granted: of a host that was late, a part is kept back for a while."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.beat()
            if (answer := ask()).granted >= expected:
                return answer
            self.fleet.wait(0.05)
        pytest.fail(f"no {expected} are granted")


@pytest.fixture(params=FLEETS)
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    with ExitStack() as running:
        yield FLEETS[request.param](running)


@pytest.fixture
def hosts(fleet: Fleet) -> Iterator[Hosts]:
    made = Hosts(fleet)
    yield made
    if isinstance(fleet, RedisFleet):
        with suppress(Exception):
            fleet.admin.delete(
                *(f"{PREFIX}:{kind}:{name}" for kind in ("slots", "rate", "cost") for name in made.names)
            )


def test_hosts_see_each_other_in_one_order(hosts: Hosts):
    for host in ("b", "a"):
        hosts.settle(host, [])

    seen = [hosts.settle(host, []) for host in ("a", "b", "a")]

    assert {one.hosts for one in seen} == {seen[0].hosts}
    assert seen[0].hosts >= 2
    assert seen[0].rank < seen[1].rank < seen[0].hosts
    assert seen[2].rank == seen[0].rank


def test_a_store_that_has_just_begun_grants_nothing_but_hears_what_hosts_have(hosts: Hosts):
    hosts.fleet.flush()

    settled = hosts.settle("a", [Ask(kind="slots", name=hosts.name, limit=10, has=4, wanted=6)])
    assert settled.is_young
    assert settled.answers[0].granted == 4
    hosts.slots("b", has=5)

    hosts.grown()
    assert hosts.until(5, lambda: hosts.slots("a", has=4, wanted=6)).granted == 5


def test_slots_are_granted_up_to_the_limit_and_come_back_when_they_are_lowered(hosts: Hosts):
    hosts.grown()

    first = hosts.slots("a", wanted=7)
    assert (first.granted, first.free, first.retry_ms) == (7, 3, 0)
    second = hosts.until(3, lambda: hosts.slots("b", wanted=7))
    assert (second.granted, second.free) == (3, 0)
    assert second.retry_ms > 0

    hosts.slots("a", has=2)
    assert hosts.until(8, lambda: hosts.slots("b", has=3, wanted=5)).granted == 8


def test_a_question_that_is_put_twice_changes_nothing(hosts: Hosts):
    hosts.grown()

    assert [hosts.slots("a", wanted=7).granted for _ in range(3)] == [7, 7, 7]
    assert [hosts.cost("a", wanted=7).granted for _ in range(3)] == [7, 7, 7]


def test_what_is_in_use_is_counted_even_over_the_limit_and_what_is_idle_is_not(hosts: Hosts):
    hosts.grown()
    hosts.slots("a", wanted=8)

    lowered = hosts.slots("a", limit=5, has=8, held=3)
    assert (lowered.granted, lowered.free) == (5, 0)
    busy = hosts.slots("a", limit=5, has=8, held=7)
    assert (busy.granted, busy.free) == (7, 0)
    assert hosts.slots("b", limit=5, wanted=1).granted == 0


def test_a_bucket_is_full_at_first_and_fills_by_the_stores_clock(hosts: Hosts):
    hosts.grown()

    assert hosts.rate("a", limit=2, wanted=1).granted == 1
    rest = hosts.until(1, lambda: hosts.rate("b", limit=2, wanted=5))
    assert rest.granted == 1
    assert 0 < rest.retry_ms <= 30_000
    assert hosts.rate("b", limit=2, wanted=1).granted == 0

    hosts.name = hosts.named()
    assert hosts.rate("a", limit=600, wanted=600).granted == 600
    hosts.rate("a", limit=600)
    hosts.fleet.wait(1.0)
    assert hosts.until(5, lambda: hosts.rate("a", limit=600, wanted=600)).granted < 600


def test_what_a_host_gave_itself_is_taken_from_the_bucket_but_never_more_than_a_minutes_worth(hosts: Hosts):
    hosts.grown()

    assert hosts.rate("a", owed=4, wanted=10).granted == 6
    deep = hosts.rate("a", owed=1_000, wanted=1)
    assert (deep.granted, deep.free) == (0, -10)
    assert deep.retry_ms <= 66_000


def test_what_is_in_the_bucket_and_unused_at_hosts_is_never_more_than_the_limit(hosts: Hosts):
    much = 120_000
    hosts.grown()
    assert hosts.rate("a", limit=much, wanted=much // 2).granted == much // 2

    hosts.fleet.wait(0.5)
    assert hosts.rate("a", limit=much, has=much // 2).free == much // 2
    assert hosts.rate("b", limit=much, has=much // 4).free == much // 4
    returned = hosts.rate("a", limit=much, has=5, back=much // 2 - 5)
    assert returned.free == much - much // 4 - 5


def test_tokens_that_a_host_gave_itself_and_gives_back_are_the_buckets_but_while_the_store_is_young_its_own(
    hosts: Hosts,
):
    hosts.fleet.flush()
    settled = hosts.settle("a", [Ask(kind="rate", name=hosts.name, limit=10, has=1, owed=5, back=3)])
    assert settled.is_young
    assert settled.answers[0].free == 4

    hosts.grown()
    assert hosts.rate("a", has=1, owed=5, back=3).free == 7
    assert hosts.rate("a", has=1, owed=4, back=4).free == 7


def test_what_was_asked_when_the_answer_was_lost_is_undone_by_the_next_question(hosts: Hosts):
    hosts.grown()
    assert hosts.rate("a", wanted=1).granted == 1
    hosts.fleet.wait(0.05)
    hosts.lose("a", Ask(kind="rate", name=hosts.name, limit=10, owed=2, wanted=3))

    assert hosts.rate("a", owed=2).free == 7
    assert hosts.rate("a").free == 7


def test_a_bucket_that_is_missing_has_what_the_host_knows_of_it(hosts: Hosts):
    hosts.grown()

    assert hosts.rate("a", known_free=3, wanted=10).granted == 3


def test_hosts_that_know_less_of_a_young_stores_bucket_are_believed(hosts: Hosts):
    for _ in range(20):
        hosts.fleet.flush()
        asked = [Ask(kind="rate", name=hosts.name, limit=10, known_free=free) for free in (8, 2)]
        hosts.settle("a", asked[:1])
        believed = hosts.settle("b", asked[1:])
        if believed.is_young:
            assert believed.answers[0].free == 2
            return
    pytest.fail("this machine is too slow for a young store")


def test_a_days_cost_is_granted_up_to_the_cap(hosts: Hosts):
    hosts.grown()

    first = hosts.cost("a", limit=100, wanted=60)
    assert (first.granted, first.free, first.retry_ms) == (60, 40, 0)
    assert abs(first.day - time.time() / 86_400) < 2 or isinstance(hosts.fleet, MemoryFleet)
    second = hosts.until(40, lambda: hosts.cost("b", limit=100, wanted=60))
    assert second.granted == 40
    assert 0 < second.retry_ms <= DAY_MS

    back = hosts.cost("a", limit=100, has=50, day=first.day)
    assert (back.granted, back.free) == (50, 10)


def test_money_of_another_day_is_not_todays(hosts: Hosts):
    hosts.grown()
    today = hosts.cost("a", limit=100, wanted=60).day

    assert hosts.cost("a", limit=100, has=60, day=today - 1, wanted=10).granted == 10
    ahead = hosts.cost("a", limit=100, has=30, day=today + 1, wanted=10)
    assert (ahead.granted, ahead.day) == (30, today + 1)


def test_what_an_earlier_life_of_a_host_leased_stays_spent(hosts: Hosts):
    hosts.grown()
    hosts.cost("a", limit=100, wanted=60)

    again = hosts.cost("a", limit=100, wanted=50, known_free=None)
    assert again.granted == 40
    assert hosts.cost("a", limit=100, has=40, day=again.day).free == 0


def test_what_a_flushed_store_held_comes_back_from_the_hosts(hosts: Hosts):
    hosts.grown()
    day = hosts.cost("a", limit=100, wanted=60).day
    hosts.fleet.flush()

    assert hosts.cost("a", limit=100, has=60, day=day, wanted=40).granted == 60
    hosts.cost("b", limit=100, has=30, day=day)
    hosts.grown()
    assert hosts.until(70, lambda: hosts.cost("a", limit=100, has=60, day=day, wanted=40)).granted == 70


def test_large_numbers_stay_exact_and_the_largest_are_remembered(hosts: Hosts):
    hosts.grown()
    assert hosts.cost("a", limit=9 * 10**15, wanted=9 * 10**15 - 1).free == 1

    hosts.name = hosts.named()
    largest = 100_000_000 * 10**9
    assert hosts.cost("a", limit=largest, wanted=largest).granted == largest
    assert hosts.cost("b", limit=largest, wanted=1).granted == 0


def test_many_limits_are_settled_in_one_conversation(hosts: Hosts):
    hosts.grown()
    kinds: tuple[tuple[Kind, int], ...] = (("cost", 3), ("rate", 4), ("slots", 5))
    asks = [Ask(kind=kind, name=hosts.name, limit=10, wanted=wanted) for kind, wanted in kinds]

    assert [answer.granted for answer in hosts.settle("a", asks).answers] == [3, 4, 5]


@pytest.mark.slow
def test_of_a_quiet_host_its_part_is_kept_and_of_one_that_is_gone_nothing(hosts: Hosts):
    hosts.grown()
    hosts.slots("b", wanted=4)
    for _ in range(20):
        hosts.fleet.wait(0.1)
        hosts.slots("a")

    granted = hosts.slots("a", wanted=10).granted
    assert granted < 6
    for _ in range(DEAD_MS // 100):
        hosts.fleet.wait(0.1)
        hosts.settle("a", [])
    assert hosts.slots("a", has=granted, wanted=10 - granted).granted == 10
