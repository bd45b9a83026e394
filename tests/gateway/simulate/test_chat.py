from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any, Literal

import anyio
import openai
import pytest
from pydantic import BaseModel

from gateway.simulate.config import SimulatedModel, Simulation
from gateway.simulate.server import Running, running

Client = Any
"""`openai.AsyncOpenAI`; its types make every part of an answer optional, and a test that misses one fails anyway."""

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
QUICK = SimulatedModel(ttft_ms=0, ms_per_token=0)
CONFIG = Simulation(
    seed=1,
    models={
        "quick": QUICK,
        "reasoning": SimulatedModel(ttft_ms=0, ms_per_token=0, reasoning_tokens=50, cached_share=0.5),
    },
)
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


class Item(BaseModel):
    name: str
    price: float
    kind: Literal["new", "used"]
    note: str | None


class Offer(BaseModel):
    items: list[Item]
    accepted: bool


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


async def test_the_openai_client_is_answered(client: Client, server: Running):
    answer = await client.chat.completions.create(model="quick", messages=HELLO)

    tally = server.tally.models["quick"]
    assert answer.choices[0].message.content.startswith("Simulated answer:")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (tally.requests, tally.answered, tally.streamed) == (1, 1, 0)
    assert tally.input_tokens == answer.usage.prompt_tokens
    assert tally.output_tokens == answer.usage.completion_tokens == len(answer.choices[0].message.content.split())


async def test_the_synchronous_client_is_answered_too(server: Running):
    def act(client: openai.OpenAI) -> tuple[str | None, str]:
        plain = client.chat.completions.create(model="quick", messages=HELLO, seed=3)
        stream = client.chat.completions.create(model="quick", messages=HELLO, seed=3, stream=True)
        return plain.choices[0].message.content, "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    whole, streamed = await in_thread(server, act)

    assert whole == streamed


async def test_a_stream_tells_its_usage_when_asked(client: Client, server: Running):
    stream = await client.chat.completions.create(
        model="quick", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == server.tally.models["quick"].output_tokens
    assert server.tally.models["quick"].streamed == 1


async def test_the_clients_own_accumulation_of_a_stream_agrees(client: Client):
    async with client.chat.completions.stream(model="quick", messages=HELLO, tools=[WEATHER]) as stream:
        final = await stream.get_final_completion()

    call = final.choices[0].message.tool_calls[0]
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments).keys() == {"city", "days"}
    assert final.choices[0].finish_reason == "tool_calls"


async def test_a_tools_answer_is_answered_with_text(client: Client):
    called = await client.chat.completions.create(model="quick", messages=HELLO, tools=[WEATHER])
    message = called.choices[0].message
    said = [*HELLO, message.model_dump(), {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "3"}]

    answer = await client.chat.completions.create(model="quick", messages=said, tools=[WEATHER])

    assert answer.choices[0].message.content.startswith("Simulated answer:")


async def test_json_mode_answers_json(client: Client):
    answer = await client.chat.completions.create(
        model="quick", messages=HELLO, response_format={"type": "json_object"}
    )

    assert json.loads(answer.choices[0].message.content)


async def test_a_typed_answer_is_parsed_by_the_client(client: Client):
    answer = await client.chat.completions.parse(model="quick", messages=HELLO, response_format=Offer)

    assert answer.choices[0].message.parsed.items


async def test_several_choices_are_streamed_beside_each_other(client: Client):
    stream = await client.chat.completions.create(model="quick", messages=HELLO, stream=True, n=3)
    seen = Counter([chunk.choices[0].index async for chunk in stream])

    assert seen.keys() == {0, 1, 2}


async def test_reasoning_and_cached_tokens_are_reported(client: Client, server: Running):
    usage = (await client.chat.completions.create(model="reasoning", messages=HELLO)).usage

    assert usage.completion_tokens_details.reasoning_tokens == 50
    assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens // 2
    assert server.tally.models["reasoning"].reasoning_tokens == 50


async def test_the_same_seed_gives_the_same_answer(client: Client):
    async def said(seed: int) -> str:
        answer = await client.chat.completions.create(model="quick", messages=HELLO, seed=seed)
        return answer.choices[0].message.content

    assert await said(7) == await said(7) != await said(8)
