from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

import anyio
import httpx
import openai
import pytest

from gateway.simulate.config import SimulatedModel, Simulation
from gateway.simulate.server import Running, running
from gateway.simulate.words import liked

Client = Any
"""`openai.AsyncOpenAI`; its types make every part of an answer optional, and a test that misses one fails anyway."""

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
CONFIG = Simulation(
    seed=1,
    models={
        "quick": SimulatedModel(ttft_ms=0, ms_per_token=0),
        "slow": SimulatedModel(ttft_ms=60_000),
        "slow stream": SimulatedModel(ttft_ms=0, ms_per_token=20, tokens_per_chunk=1, output_tokens=3000),
        "paced": SimulatedModel(
            ttft_ms=100, ttft_sigma=0, ms_per_token=10, output_tokens=21, output_sigma=0, tokens_per_chunk=10
        ),
        "failing": SimulatedModel(ttft_ms=0, ms_per_token=0, errors={500: 0.3, 429: 0.3, 503: 0.3}),
        "mixed": SimulatedModel(ttft_ms=0, ms_per_token=0, quality=0.7),
    },
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def server() -> AsyncGenerator[Running]:
    async with running(CONFIG) as started:
        yield started


async def in_thread(server: Running, act: Callable[[openai.OpenAI], Any]) -> Any:
    """Let the synchronous client act beside the server's loop."""

    def acting() -> Any:
        with openai.OpenAI(base_url=server.base_url, api_key="unused", max_retries=0) as client:
            return act(client)

    return await anyio.to_thread.run_sync(acting)


async def test_a_server_with_the_same_seed_gives_the_same_answers(server: Running):
    async def said(base_url: str) -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="unused") as client:
            answers = [await client.chat.completions.create(model="quick", messages=HELLO) for _ in range(5)]
        return [answer.choices[0].message.content for answer in answers]

    async with running(CONFIG) as other:
        assert await said(server.base_url) == await said(other.base_url)


async def test_errors_are_the_clients_own_classes_and_counted(client: Client, server: Running):
    caught: list[openai.APIStatusError] = []
    for _ in range(60):
        try:
            await client.chat.completions.create(model="failing", messages=HELLO)
        except openai.APIStatusError as error:
            caught.append(error)

    seen = Counter(str(error.status_code) for error in caught)
    assert all("Simulated:" in str(error) for error in caught)
    tally = server.tally.models["failing"]
    assert seen.keys() == {"500", "429", "503"}
    assert tally.errors == seen
    assert tally.answered == 60 - seen.total()
    assert server.tally.refused == {}


async def test_a_rate_limit_is_the_clients_rate_limit_error(server: Running):
    def act(client: openai.OpenAI) -> set[type[Exception]]:
        seen: set[type[Exception]] = set()
        for _ in range(40):
            try:
                client.chat.completions.create(model="failing", messages=HELLO, stream=True).close()
            except openai.APIStatusError as error:
                seen.add(type(error))
        return seen

    assert await in_thread(server, act) == {openai.RateLimitError, openai.InternalServerError}


async def test_a_model_keeps_its_pace(client: Client):
    began = time.monotonic()
    await client.chat.completions.create(model="paced", messages=HELLO)
    plain_s = time.monotonic() - began
    stream = await client.chat.completions.create(model="paced", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    stream_s = time.monotonic() - began - plain_s

    assert len(chunks) == 5
    assert plain_s >= 0.295
    assert stream_s >= 0.295


@pytest.mark.parametrize("path", ["plain", "stream"])
async def test_a_caller_who_leaves_is_noticed_at_once_and_counted(server: Running, path: str):
    model, stream = ("slow", False) if path == "plain" else ("slow stream", True)
    body = {"model": model, "messages": HELLO, "stream": stream, "metadata": {"simulate_id": "7"}}
    async with httpx.AsyncClient() as http:
        request = http.build_request("POST", f"{server.base_url}/chat/completions", json=body)
        with anyio.move_on_after(0.2):
            response = await http.send(request, stream=True)
            async for _ in response.aiter_raw():
                pass
    left_at = time.time_ns() // 1000
    tally = server.tally.models[model]
    with anyio.fail_after(5):
        while not tally.cancelled:  # noqa: ASYNC110 - the server has no event for this
            await anyio.sleep(0.01)

    cancelled = server.tally.cancelled[0]
    assert (cancelled.model, cancelled.mark, cancelled.streamed) == (model, "7", stream)
    assert cancelled.noticed_at - left_at < 500_000
    assert (tally.cancelled, tally.answered, tally.open_requests, tally.open_streams) == (1, 0, 0, 0)
    assert (tally.cancelled_output_tokens > 0) is stream


async def test_quality_is_the_share_of_answers_that_a_reader_likes(client: Client):
    said = [await client.chat.completions.create(model="mixed", messages=HELLO) for _ in range(200)]
    verdicts = Counter([liked(answer.choices[0].message.content) for answer in said])

    assert verdicts.keys() == {True, False}
    assert 120 <= verdicts[True] <= 160
