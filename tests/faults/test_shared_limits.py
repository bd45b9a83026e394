"""Two workers and the limits of their host: one caller gets all of it, all together no more, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Iterator

import httpx
import pytest

from gateway.proxy.purse import DAY_S
from tests.acceptance.harness import PATIENCE_S, SERVER, Installation, installed, until

log = logging.getLogger("faults")
AT_ONCE = 6
PER_MINUTE = 40
WORKERS = 2
"""Several that ask in the same microseconds may find the same last one."""
QUICK_S = 0.01
ANSWER_S = 0.15
LONG_S = 30.0
AFFORDABLE = 49
"""Answers of 0.002 USD, for each of which 0.004 are set aside, on a day of 0.1."""
FREE_WITHIN_S = 5.0
CONFIG = (
    SERVER
    + f"""
[upstreams.fast]
base_url = "$fast"

[upstreams.slow]
base_url = "$slow"

[models.fast]
upstream = "fast"

[models.single]
upstream = "fast"
max_concurrent = 1

[models.slow]
upstream = "slow"

[models.priced]
upstream = "fast"
price = {{ input = 0, output = 500 }}

[applications.thrifty]
daily_cost_usd = 0.1
unknown_cost_usd = 0.004

[applications.metered]
requests_per_minute = {PER_MINUTE}

[applications.paired]
max_concurrent = {AT_ONCE}
"""
)


def behaviour(answer_s: float) -> str:
    return f"ttft_ms = {answer_s * 1000}\nttft_sigma = 0\nms_per_token = 0\noutput_tokens = 4\n"


SIMULATED = {
    "fast": f"[models.fast]\n{behaviour(QUICK_S)}[models.single]\n{behaviour(ANSWER_S)}"
    f"[models.priced]\n{behaviour(QUICK_S)}output_sigma = 0\n",
    "slow": f"[models.slow]\n{behaviour(LONG_S)}",
}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("limits"), config=CONFIG, simulated=SIMULATED) as running:
        yield running


def caller(one: Installation, application: str) -> httpx.AsyncClient:
    """Return a client that opens a connection for each request that is under way."""
    headers = {"authorization": f"Bearer {one.new_key(application)}"}
    return httpx.AsyncClient(base_url=one.base_url, headers=headers, trust_env=False, timeout=PATIENCE_S)


async def ask(client: httpx.AsyncClient, model: str = "fast") -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
    return (await client.post("/chat/completions", json=body)).status_code


async def together(client: httpx.AsyncClient, count: int, model: str = "fast") -> Counter[int]:
    asked: list[Coroutine[None, None, int]] = [ask(client, model) for _ in range(count)]
    return Counter(await asyncio.gather(*asked))


def test_one_connection_gets_the_whole_rate_and_no_other_one_gets_more(one: Installation):
    async def play() -> tuple[Counter[int], Counter[int], float]:
        began = time.monotonic()
        async with caller(one, "metered") as alone, caller(one, "metered") as others:
            statuses = Counter([await ask(alone) for _ in range(PER_MINUTE)])
            late = await together(others, 2 * PER_MINUTE)
        return statuses, late, time.monotonic() - began

    statuses, late, lasted_s = asyncio.run(play())
    assert statuses == {200: PER_MINUTE}
    assert late[200] <= PER_MINUTE * lasted_s / 60 + WORKERS - 1
    assert late[200] + late[429] == 2 * PER_MINUTE


def test_as_many_are_under_way_as_the_limit_says_wherever_their_connections_lead(one: Installation):
    async def play() -> list[Counter[int]]:
        async with caller(one, "paired") as client, caller(one, "paired") as other:
            held = [asyncio.create_task(ask(client, "slow")) for _ in range(AT_ONCE)]
            await asyncio.to_thread(until, lambda: in_flight(one) == AT_ONCE, "all are under way")
            counts = [await together(other, 10) for _ in range(2)]
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)
        await asyncio.to_thread(until, lambda: in_flight(one) == 0, "all have ended")
        return counts

    assert asyncio.run(play()) == [{429: 10}, {429: 10}]


def test_a_day_costs_what_it_may_wherever_the_requests_of_an_application_lead(one: Installation):
    async def play() -> tuple[Counter[int], Counter[int]]:
        async with caller(one, "thrifty") as client:
            first = await together(client, 2 * AFFORDABLE, "priced")
            async with caller(one, "thrifty") as other:
                then = Counter([await ask(each, "priced") for _ in range(AFFORDABLE) for each in (client, other)])
        return first, then

    while time.time() % DAY_S > DAY_S - PATIENCE_S:
        time.sleep(1)
    first, then = asyncio.run(play())
    assert first[200] <= AFFORDABLE
    assert first[200] + then[200] == AFFORDABLE
    assert first + then == {200: AFFORDABLE, 429: 3 * AFFORDABLE}
    (spent,) = one.lake("SELECT sum(cost_usd) AS usd FROM records WHERE application = 'thrifty'")
    assert spent["usd"] == pytest.approx(0.098)


def test_who_waits_at_either_worker_is_let_in_one_after_the_other(one: Installation):
    async def play() -> tuple[Counter[int], float]:
        async with caller(one, "paired") as client:
            began = time.monotonic()
            answered = await together(client, AT_ONCE, "single")
            return answered, time.monotonic() - began

    for _ in range(3):
        answered, lasted_s = asyncio.run(play())
        assert answered == {200: AT_ONCE}
        assert lasted_s >= AT_ONCE * ANSWER_S


def test_what_a_killed_worker_held_is_free_again_within_seconds(one: Installation):
    async def play() -> None:
        async with caller(one, "paired") as client, caller(one, "paired") as other:
            held = [asyncio.create_task(ask(client, "slow")) for _ in range(AT_ONCE)]
            await asyncio.to_thread(until, lambda: in_flight(one) == AT_ONCE, "all are under way")
            assert await ask(other) == 429
            name, page = max(one.pages().items(), key=lambda found: found[1].in_flight)
            one.kill(name)
            left = AT_ONCE - page.in_flight
            await asyncio.to_thread(until, lambda: in_flight(one) == left, "the dead worker is replaced")
            began = time.monotonic()
            while await ask(other) == 429:
                assert time.monotonic() - began < FREE_WITHIN_S
                await asyncio.sleep(0.05)
            log.info("%d slots free again %.2f s after the replacement", page.in_flight, time.monotonic() - began)
            held += [asyncio.create_task(ask(other, "slow")) for _ in range(page.in_flight)]
            await asyncio.to_thread(until, lambda: in_flight(one) == AT_ONCE, "as many as before are under way")
            assert await together(other, 3) == {429: 3}
            for task in held:
                task.cancel()
            await asyncio.gather(*held, return_exceptions=True)

    asyncio.run(play())


def in_flight(one: Installation) -> int:
    return sum(page.in_flight for page in one.pages().values())
