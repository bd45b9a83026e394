"""Whatever befalls a fleet and its store, in any time no more pass than a rate allows, and a lease for each host."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proxy.leased import WANTED, LeasedBucket, LeasedSheet
from gateway.proxy.leasehold import Leasehold
from gateway.proxy.limits import ROW_CELLS
from rollout.holding import SPARE_SHARE, Fleet, Holding, joined, part
from rollout.lease import YOUNG_MS, Ask, LeaseStore, Settled
from rollout.stores.ledger import StoreUnavailableError
from rollout.stores.redis_limits import RedisLeases
from tests.fakes.leases import DAY_MS, MemoryLeases
from tests.fakes.redis_server import PROGRAMS, RedisServer, redis_server

BEAT_MS = 500
NAME = "application:web"


@dataclass
class Host:
    """One host with one worker, which may not have met the limit yet."""

    name: str
    limit: int
    gateways: int
    store: LeaseStore
    beat_at_ms: int = 0

    def __post_init__(self) -> None:
        self.fleet = Fleet(hosts=self.gateways)
        self.leasehold = Leasehold(Holding(kind="rate", name=NAME, limit=self.limit))
        self.bucket: LeasedBucket | None = None

    def let_through(self, count: int, now_ms: int) -> int:
        """Return how many of so many requests pass; those for which nothing is there wait for a round."""
        if self.bucket is None:
            sheet = LeasedSheet([0] * (2 * ROW_CELLS), 0, [1], 1)
            self.leasehold.meet(sheet)
            self.bucket = LeasedBucket(sheet)
        passed = self._take(count)
        if passed < count:
            self.bucket.sheet.write(WANTED, count - passed)
            self.leasehold.is_wanted(now_ms / 1000)
            self.round(now_ms)
            self.bucket.sheet.write(WANTED, 0)
            passed += self._take(count - passed)
        return passed

    def _take(self, count: int) -> int:
        assert self.bucket is not None
        for taken in range(count):
            if self.bucket.take(self.limit, 0):
                return taken
        return count

    def beat(self, now_ms: int) -> None:
        self.leasehold.is_wanted(now_ms / 1000)
        self.round(now_ms)
        self.beat_at_ms = now_ms + BEAT_MS

    def round(self, now_ms: int) -> None:
        now_s = now_ms / 1000
        self.leasehold.begin()
        said = self.leasehold.ask(self.fleet, now_s)
        try:
            settled = self.store.settle(self.name, [said])
        except StoreUnavailableError:
            self.leasehold.go_alone(self.fleet, now_s, 0, is_young=False)
            return
        self.fleet = joined(self.fleet, settled, self.gateways)
        if settled.is_young:
            self.leasehold.go_alone(self.fleet, now_s, 0, is_young=True)
        else:
            self.leasehold.take(settled.answers[0], now_s, 0)

    @property
    def idle(self) -> int:
        return self.leasehold.holding.granted - self.leasehold.used

    @property
    def may_take(self) -> int:
        """Return what it would take of what it knows to be free, if the store were gone now."""
        free = self.leasehold.holding.free
        return max(0, part(self.limit if free is None else free, self.fleet))


class Stalled(MemoryLeases):
    """A store that may be stopped: what was asked meanwhile it hears when it goes on, and nobody hears its answers."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        super().__init__(clock_ms)
        self.is_stopped = False
        self.unheard: list[tuple[str, Sequence[Ask]]] = []

    def settle(self, host: str, asks: Sequence[Ask]) -> Settled:
        if self.is_stopped:
            self.unheard.append((host, asks))
            message = "no answer"
            raise StoreUnavailableError(message)
        return super().settle(host, asks)

    def resume(self) -> None:
        self.is_stopped, self.loses_answers = False, True
        for host, asks in self.unheard:
            with pytest.raises(StoreUnavailableError):
                super().settle(host, asks)
        self.unheard, self.loses_answers = [], False


@dataclass
class World:
    """Hosts that share a rate, and the bucket that one gateway would have had."""

    limit: int
    size: int
    random: Random
    hosts: list[Host] = field(default_factory=list)
    now_ms: int = 20_000 * DAY_MS + DAY_MS // 2
    level: float = 0.0
    on_top: int = 0
    passed: int = 0

    def __post_init__(self) -> None:
        self.store = Stalled(lambda: self.now_ms)
        stores = [self.store_of() for _ in range(self.size)]
        self.hosts = [Host(f"h{number}", self.limit, max(2, self.size), store) for number, store in enumerate(stores)]
        self.level = float(self.limit)

    def store_of(self) -> LeaseStore:
        """Return a host's way to the store."""
        return self.store

    def pass_ms(self, ms: int) -> None:
        """Let time go by, in which one gateway's bucket would fill up."""
        self.now_ms += ms
        self.level = min(self.limit, self.level + self.limit * ms / 60_000)

    @property
    def leases(self) -> int:
        """Return what all hosts may have ahead of demand: an eighth of each one's part, or a single request."""
        return sum(max(1, self.limit // (SPARE_SHARE * self.size)) for _ in self.hosts)

    def go_on(self, ms: int, a_second: float) -> None:
        """Let time go by, with so many requests in a second over all hosts."""
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            step_ms = self.random.randint(20, 150)
            self.pass_ms(step_ms)
            for host in self.random.sample(self.hosts, self.size):
                if host.beat_at_ms <= self.now_ms:
                    host.beat(self.now_ms)
                expected = a_second * step_ms / 1000 / self.size
                count = int(expected) + (self.random.random() < expected % 1)
                if count:
                    self.ask(host, count)

    def burst(self) -> None:
        """Let far too many come at once, at all hosts."""
        for host in self.random.sample(self.hosts, self.size):
            self.ask(host, 2 * self.limit)

    def ask(self, host: Host, count: int) -> None:
        """Let so many requests come to a host, and compare what passed with what one gateway would have let through."""
        passed = host.let_through(count, self.now_ms)
        self.pass_ms(0)
        self.passed += passed
        self.level -= passed
        assert self.level >= -self.leases - self.on_top, self.told()

    def told(self) -> str:
        return f"{-self.level:.1f} over {self.limit}, leases {self.leases}, {[host.idle for host in self.hosts]}"

    def lose_store(self) -> None:
        """Note what hosts may take that do not know yet what others were granted since their last look."""
        told = sum(host.may_take for host in self.hosts)
        self.on_top = max(self.on_top, told + sum(max(0, host.idle) for host in self.hosts) - int(max(0.0, self.level)))


DEMANDS = st.sampled_from([0.0, 0.3, 1.0, 4.0, 20.0])
"""So many times the rate."""
TIMES_MS = st.sampled_from([300, 1_000, 2_500, 6_000, 12_000, 40_000, 90_000])
EVENTS = st.sampled_from(["none", "away", "stop", "flush", "restart", "lose", "burst"])
RUNS = st.lists(st.tuples(EVENTS, TIMES_MS, DEMANDS), min_size=1, max_size=6)


@given(limit=st.integers(1, 600), size=st.integers(1, 4), seed=st.integers(0, 2**32), run=RUNS, last=DEMANDS)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_in_any_time_no_more_pass_than_the_rate_and_a_lease_for_each_host(
    limit: int, size: int, seed: int, run: list[tuple[str, int, float]], last: float
):
    one = World(limit=limit, size=size, random=Random(seed))
    for event, ms, demand in run:
        a_second = demand * limit / 60
        if event in ("away", "stop", "restart", "lose"):
            one.lose_store()
        one.store.is_away = event in ("away", "restart")
        one.store.is_stopped = event == "stop"
        one.store.loses_answers = event == "lose"
        if event == "flush":
            one.store.flush()
        if event == "burst":
            one.burst()
        one.go_on(ms, a_second)
        if event == "restart":
            one.store.flush()
        if event == "stop":
            one.store.resume()
        one.store.is_away = one.store.loses_answers = False
    one.go_on(2 * YOUNG_MS, last * limit / 60)
    one.burst()
    one.go_on(2 * YOUNG_MS, last * limit / 60)


@dataclass
class RealWorld(World):
    """The same with a server, by real clocks."""

    server: RedisServer = field(kw_only=True)
    running: ExitStack = field(kw_only=True)

    def store_of(self) -> LeaseStore:
        self.now_ms = round(time.time() * 1000)
        made = RedisLeases(self.server.access)
        self.running.callback(made.close)
        return made

    def pass_ms(self, ms: int) -> None:
        time.sleep(ms / 1000)
        now_ms = round(time.time() * 1000)
        super().pass_ms(now_ms - self.now_ms)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("demand", [0.1, 4.0])
def test_a_real_server_that_is_young_killed_stopped_and_emptied_lets_no_more_pass(program: str, demand: float):
    with ExitStack() as running:
        server = running.enter_context(redis_server(PROGRAMS[program]()))
        one = RealWorld(limit=120, size=2, random=Random(1), server=server, running=running)
        a_second = demand * one.limit / 60
        one.go_on(300, a_second)
        one.lose_store()
        server.end()
        one.go_on(1_600, a_second)
        server.start()
        one.go_on(YOUNG_MS + 1_200, a_second)
        one.lose_store()
        server.pause()
        one.go_on(1_800, a_second)
        server.resume()
        one.burst()
        one.go_on(600, a_second)
        one.lose_store()
        server.ask("FLUSHALL")
        one.burst()
        one.go_on(YOUNG_MS + 500, a_second)
        one.burst()
        assert one.passed >= one.limit // 2


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_real_server_that_is_young_and_emptied_lets_no_more_pass(program: str):
    with ExitStack() as running:
        server = running.enter_context(redis_server(PROGRAMS[program]()))
        one = RealWorld(limit=120, size=2, random=Random(1), server=server, running=running)
        one.go_on(YOUNG_MS + 700, 0.2)
        one.burst()
        one.lose_store()
        server.ask("FLUSHALL")
        one.go_on(300, 8.0)
        one.burst()
        assert one.passed >= one.limit // 2
