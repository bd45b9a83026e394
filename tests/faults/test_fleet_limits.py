"""Two gateway hosts, one real Redis: applications' limits are the fleet's, wherever they ask, whatever Redis does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from gateway.proxy.board import FOLDER
from gateway.proxy.leasehold import BUSY_S
from gateway.proxy.memory import remembered
from gateway.proxy.purse import DAY_S
from rollout.lease import YOUNG_MS
from tests.acceptance.fleet import Fleet, fleet
from tests.acceptance.harness import PATIENCE_S, Installation, until
from tests.fakes.redis_server import redis_server

log = logging.getLogger("faults")
HOSTS = 2
AT_ONCE = 8
PER_MINUTE = 120
BURST = 15
QUIET_S = 2 * BUSY_S
"""By then a host that nobody asks leases nothing ahead of demand any more."""
LEASE = PER_MINUTE // 16 + 1
"""The most tokens that a host has ahead of demand: an eighth of its part of what is free."""
AFFORDABLE = 49
"""Answers of 0.002 USD, for each of which 0.004 are set aside, on a day of 0.1."""
DEFINITIONS = f"""
[upstreams.all]
base_url = "$all"

[models.slow]
upstream = "all"

[models.priced]
upstream = "all"
price = {{ input = 0, output = 500 }}

[applications.default]

[applications.paired]
max_concurrent = {AT_ONCE}

[applications.metered]
requests_per_minute = {PER_MINUTE}

[applications.steady]
requests_per_minute = {PER_MINUTE}

[applications.hasty]
requests_per_minute = {PER_MINUTE}

[applications.shared]
max_concurrent = {AT_ONCE}

[applications.thrifty]
daily_cost_usd = 0.1
unknown_cost_usd = 0.004
"""
QUICK = "ttft_ms = 5\nttft_sigma = 0\nms_per_token = 0\noutput_tokens = 4\noutput_sigma = 0\n"
SIMULATED = {"all": f"[models.priced]\n{QUICK}[models.slow]\n{QUICK.replace('= 5', '= 30000')}"}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with redis_server() as redis, fleet(folder, redis, definitions=DEFINITIONS, simulated=SIMULATED) as made:
        gateways = [made.add(name, "gateway", is_waited_for=False) for name in ("north", "south")]
        made.add("console", "console")
        for gateway in gateways:
            made.wait_until_ready(gateway)
            until(lambda gateway=gateway: is_leasing(gateway), f"{gateway.folder.name} leases")
        yield made


def is_leasing(host: Installation) -> bool:
    """Tell whether a host has spoken to a Redis that remembers."""
    kept = remembered(host.state_dir / "run" / FOLDER / "lessee.json")
    return kept is not None and kept.fleet.rank is not None


def key(one: Fleet, application: str) -> str:
    made = one.console.ask("POST", "keys", {"role": "app", "application": application}).raise_for_status().json()
    one.wait_for(one.console.ask("GET", "status").raise_for_status().json()["snapshot"])
    return made["key"]


@asynccontextmanager
async def callers(one: Fleet, application: str) -> AsyncIterator[list[httpx.AsyncClient]]:
    headers = {"authorization": f"Bearer {await asyncio.to_thread(key, one, application)}"}
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=host.base_url, headers=headers, trust_env=False, timeout=PATIENCE_S)
            )
            for host in one.gateways
        ]


async def ask(client: httpx.AsyncClient, model: str = "priced") -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
    return (await client.post("/chat/completions", json=body)).status_code


async def together(clients: list[httpx.AsyncClient], count: int) -> Counter[int]:
    """Ask so often at each host, all at once."""
    return Counter(await asyncio.gather(*(ask(client) for _ in range(count) for client in clients)))


def in_flight(host: Installation) -> int:
    return sum(page.in_flight for page in host.pages().values())


def all_in_flight(one: Fleet) -> int:
    return sum(in_flight(host) for host in one.gateways)


class Crowd:
    """Requests that are held open at one host or another."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[int]] = []

    def come(self, client: httpx.AsyncClient, count: int) -> None:
        self.tasks += [asyncio.create_task(ask(client, "slow")) for _ in range(count)]

    async def refused(self, count: int) -> None:
        """Wait until so many of those that came were refused; they are forgotten."""
        given_up_at = time.monotonic() + PATIENCE_S
        while sum(task.done() for task in self.tasks) < count:
            assert time.monotonic() < given_up_at, f"not refused: {count}"
            await asyncio.sleep(0.01)
        assert Counter(task.result() for task in self.tasks if task.done()) == {429: count}
        self.tasks = [task for task in self.tasks if not task.done()]

    async def fill(self, client: httpx.AsyncClient, wanted: int) -> None:
        """Come again and again until so many are held."""
        given_up_at = time.monotonic() + PATIENCE_S
        while len(self.tasks) < wanted:
            assert time.monotonic() < given_up_at, f"{len(self.tasks)} of {wanted} were let in"
            self.come(client, 1)
            await asyncio.sleep(0.05)
            self.tasks = [task for task in self.tasks if not (task.done() and task.result() == 429)]

    def forget_ended(self) -> None:
        self.tasks = [task for task in self.tasks if not task.done()]

    async def decided(self, most: int) -> int:
        """Wait until no more than so many are left of those that came: others would be held much longer."""
        given_up_at = time.monotonic() + PATIENCE_S / 2
        while len(self.tasks) > most and time.monotonic() < given_up_at:
            await asyncio.sleep(0.05)
            self.forget_ended()
        return len(self.tasks)

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()


def has_looked(hosts: Sequence[Installation], since: float) -> Callable[[], bool]:
    """Return whether all of them have spoken to Redis about every limit since then."""

    def is_so() -> bool:
        kept = [remembered(host.state_dir / "run" / FOLDER / "lessee.json") for host in hosts]
        return all(one is not None and all(each.looked_at > since for each in one.holdings) for one in kept)

    return is_so


def test_a_fleet_lets_as_many_pass_in_a_minute_as_one_gateway_would(one: Fleet):
    async def play() -> tuple[Counter[int], float]:
        async with callers(one, "metered") as clients:
            began = time.monotonic()
            counts = [await together(clients, PER_MINUTE // 4) for _ in range(4)]
            return sum(counts, Counter()), time.monotonic() - began

    counts, lasted_s = asyncio.run(play())
    log.info("%d of %d let through in %.1f s", counts[200], counts.total(), lasted_s)
    assert set(counts) == {200, 429}
    assert PER_MINUTE - HOSTS * LEASE <= counts[200] <= PER_MINUTE * (1 + lasted_s / 60) + HOSTS * LEASE


def test_a_host_that_is_asked_alone_has_all_of_a_limit_and_then_the_other_one_has_it(one: Fleet):
    async def play() -> None:
        crowd = Crowd()
        async with callers(one, "paired") as (north, south):
            for full, empty in ((north, south), (south, north)):
                await crowd.fill(full, AT_ONCE)
                await asyncio.to_thread(until, lambda: all_in_flight(one) == AT_ONCE, "all are under way")
                crowd.come(full, 3)
                crowd.come(empty, 3)
                await crowd.refused(6)
                await crowd.leave()
                await asyncio.to_thread(until, lambda: all_in_flight(one) == 0, "all have ended")

    asyncio.run(play())


def test_a_day_costs_what_it_may_on_all_hosts_together_and_a_redis_that_lost_everything_forgives_nothing(one: Fleet):
    enough = AFFORDABLE - 4 * HOSTS

    async def play() -> tuple[int, list[httpx.Response]]:
        async with callers(one, "thrifty") as clients:
            counts = [await together(clients, 10) for _ in range(10)]
            one.redis.ask("FLUSHALL")
            counts += [await together(clients, 5) for _ in range(5)]
            await asyncio.sleep(YOUNG_MS / 1000)
            given_up_at = time.monotonic() + PATIENCE_S
            while sum(count[200] for count in counts) < enough and time.monotonic() < given_up_at:
                counts.append(await together(clients, 5))
                await asyncio.sleep(0.2)
            counts += [await together(clients, 5) for _ in range(5)]
            last = [
                await client.post("/chat/completions", json={"model": "priced", "messages": []}) for client in clients
            ]
            passed = sum(count[200] for count in counts) + sum(answer.status_code == 200 for answer in last)
            return passed, [answer for answer in last if answer.status_code != 200]

    while time.time() % DAY_S > DAY_S - PATIENCE_S:
        time.sleep(1)
    passed, refused = asyncio.run(play())
    log.info("%d of %d affordable answers", passed, AFFORDABLE)
    assert enough <= passed <= AFFORDABLE
    assert {answer.json()["error"]["code"] for answer in refused} == {"daily_cost_reached"}


SLOW = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize(("outage_s", "in_the_midst"), [(3.0, False), pytest.param(60.0, True, marks=SLOW)])
def test_while_redis_answers_nobody_the_hosts_together_let_no_more_through_than_the_limits(
    one: Fleet,
    outage_s: float,
    in_the_midst: bool,  # noqa: FBT001 - a row's circumstances
):
    """What one host leased after the other's last look comes on top; when all have looked since, their spares alone."""
    application, most_leased = ("hasty", HOSTS * (LEASE + BURST)) if in_the_midst else ("steady", HOSTS * LEASE)

    async def play() -> tuple[int, int, float]:
        crowd = Crowd()
        async with callers(one, "shared") as clients, callers(one, application) as others:
            began = time.monotonic()
            counts = await together(others, BURST)
            await crowd.fill(clients[0], AT_ONCE // 2)
            if not in_the_midst:
                await asyncio.to_thread(until, has_looked(one.gateways, time.time() + QUIET_S), "all look again")
            one.redis.pause()
            paused_at = time.monotonic()
            try:
                while time.monotonic() < paused_at + outage_s or not in_flight(one.gateways[1]):
                    assert time.monotonic() < paused_at + outage_s + PATIENCE_S, "the other host never had its part"
                    for client in clients:
                        crowd.come(client, 2)
                    counts += await together(others, 10)
                    await asyncio.sleep(0.1)
                    crowd.forget_ended()
                held = await crowd.decided(AT_ONCE)
            finally:
                one.redis.resume()
            lasted_s = time.monotonic() - began
            await crowd.leave()
            await asyncio.to_thread(until, lambda: all_in_flight(one) == 0, "all have ended")
            await crowd.fill(clients[1], AT_ONCE)
            await crowd.leave()
        await asyncio.to_thread(until, lambda: all_in_flight(one) == 0, "all have ended")
        return held, counts[200], lasted_s

    held, passed, lasted_s = asyncio.run(play())
    log.info("%d of %d at once, %d requests in %.1f s", held, AT_ONCE, passed, lasted_s)
    assert 0 < held <= AT_ONCE
    assert PER_MINUTE // 2 <= passed <= PER_MINUTE * (1 + lasted_s / 60) + most_leased


@pytest.mark.slow
def test_a_redis_that_is_started_anew_doubles_no_limit(one: Fleet):
    async def play() -> tuple[int, float]:
        async with callers(one, "steady") as clients:
            began, passed = time.monotonic(), 0
            await together(clients, PER_MINUTE)
            one.redis.end()
            one.redis.start()
            while time.monotonic() < began + 2 * YOUNG_MS / 1000:
                passed += (await together(clients, 5))[200]
                await asyncio.sleep(0.05)
            return passed, time.monotonic() - began

    passed, lasted_s = asyncio.run(play())
    log.info("%d requests in %.1f s", passed, lasted_s)
    assert passed <= PER_MINUTE * lasted_s / 60 + HOSTS * LEASE
