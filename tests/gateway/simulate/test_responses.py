from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any, Literal

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

from gateway.simulate.config import SimulatedModel
from gateway.simulate.server import Running
from tests.fakes.simulated import checked, checked_as, simulated

pytestmark = pytest.mark.anyio
THINKING = SimulatedModel(ttft_ms=0, ms_per_token=0, reasoning_tokens=30, cached_share=0.5)
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "strict": True,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Offer(BaseModel):
    name: str
    kind: Literal["new", "used"]


@pytest.fixture
async def both() -> AsyncGenerator[tuple[Any, Running]]:
    async with simulated(thinking=THINKING) as both:
        yield both


@pytest.fixture
async def client(both: tuple[Any, Running]) -> Any:
    return both[0]


async def events_of(client: Any, **fields: Any) -> list[dict[str, Any]]:
    """Return a stream's events, each accepted by the client's own types."""
    stream = await client.responses.create(**{"model": "m", "input": "hello", "stream": True, **fields})
    said = [one.to_dict(mode="json") async for one in stream]
    for one in said:
        checked_as(ResponseStreamEvent, one)  # pyright: ignore[reportArgumentType] - a union of events is a type too
    return said


async def test_a_text_is_answered_and_billed_once(both: tuple[Any, Running]):
    client, server = both
    answer = await client.responses.create(model="m", input="hello", instructions="be brief")
    said = checked(answer)

    tally = server.tally.models["m"]
    assert answer.output_text.startswith("Simulated answer:")
    assert said["status"] == "completed"
    assert said["instructions"] == "be brief"
    assert (tally.input_tokens, tally.output_tokens) == (said["usage"]["input_tokens"], said["usage"]["output_tokens"])
    assert said["usage"]["output_tokens"] == len(answer.output_text.split())


async def test_the_events_come_in_the_documented_order_and_numbered(client: Any):
    said = await events_of(client)

    names = [one["type"] for one in said]
    deltas = [one for one in said if one["type"] == "response.output_text.delta"]
    assert [one["sequence_number"] for one in said] == list(range(len(said)))
    assert names[:4] == [
        *("response.created", "response.in_progress"),
        *("response.output_item.added", "response.content_part.added"),
    ]
    assert names[4:-4] == ["response.output_text.delta"] * len(deltas)
    assert names[-4:] == [
        *("response.output_text.done", "response.content_part.done"),
        *("response.output_item.done", "response.completed"),
    ]
    whole = said[-1]["response"]
    assert "".join(one["delta"] for one in deltas) == whole["output"][0]["content"][0]["text"] == said[-4]["text"]
    assert whole["usage"]["output_tokens"] > 0
    assert said[0]["response"]["output"] == []


async def test_the_clients_own_accumulation_of_a_stream_agrees(client: Any):
    async with client.responses.stream(model="m", input="hello", tools=[WEATHER]) as stream:
        final = await stream.get_final_response()

    assert json.loads(final.output[0].arguments).keys() == {"city"}
    checked_as(Response, final.to_dict(mode="json"))


async def test_a_call_is_streamed_as_its_arguments(client: Any):
    said = await events_of(client, tools=[WEATHER], tool_choice={"type": "function", "name": "weather"})

    names = [one["type"] for one in said if "arguments" in one["type"]]
    assert names[-1] == "response.function_call_arguments.done"
    pieces = [one["delta"] for one in said if one["type"] == "response.function_call_arguments.delta"]
    assert json.loads("".join(pieces)).keys() == {"city"}


async def test_a_functions_output_is_answered_with_text(client: Any):
    called = await client.responses.create(model="m", input="hello", tools=[WEATHER])
    output = {"type": "function_call_output", "call_id": called.output[0].call_id, "output": "rain"}

    answer = await client.responses.create(model="m", input=[output], tools=[WEATHER], previous_response_id=called.id)

    assert answer.output_text.startswith("Simulated answer:")
    assert answer.previous_response_id == called.id


async def test_reasoning_is_an_item_of_its_own_and_part_of_the_output(client: Any):
    said = await events_of(client, model="thinking", reasoning={"effort": "low", "summary": "auto"})

    whole = said[-1]["response"]
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message"]
    assert whole["usage"]["output_tokens_details"]["reasoning_tokens"] == 30
    assert whole["usage"]["input_tokens_details"]["cached_tokens"] == whole["usage"]["input_tokens"] // 2
    assert "response.reasoning_summary_text.delta" in [one["type"] for one in said]


async def test_an_answer_that_is_cut_is_incomplete(client: Any):
    said = await events_of(client, max_output_tokens=16)

    assert said[-1]["type"] == "response.incomplete"
    assert said[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert said[-1]["response"]["usage"]["output_tokens"] == 16


async def test_a_typed_answer_is_parsed_by_the_client(client: Any):
    answer = await client.responses.parse(model="m", input="hello", text_format=Offer)

    assert isinstance(answer.output_parsed, Offer)


async def test_json_mode_and_log_probabilities(client: Any):
    answer = await client.responses.create(
        model="m",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
        text={"format": {"type": "json_object"}},
        include=["message.output_text.logprobs"],
    )

    part = checked(answer)["output"][0]["content"][0]
    assert json.loads(part["text"])
    assert "".join(one["token"] for one in part["logprobs"]) == part["text"]


async def test_a_response_is_kept_shown_and_deleted(client: Any):
    made = await client.responses.create(model="m", input="hello")
    shown = await client.responses.retrieve(made.id)
    inputs = [one async for one in client.responses.input_items.list(made.id)]
    await client.responses.delete(made.id)

    assert shown == made
    assert inputs[0].content[0].text == "hello"
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(made.id)


async def test_what_came_before_is_part_of_the_prompt(client: Any):
    first = await client.responses.create(model="m", input="hello")
    second = await client.responses.create(model="m", input="hello", previous_response_id=first.id)
    third = await client.responses.create(model="m", input="hello", previous_response_id=second.id)

    assert first.usage.input_tokens < second.usage.input_tokens < third.usage.input_tokens


async def test_a_response_that_was_not_kept_cannot_be_gone_on_from(client: Any):
    made = await client.responses.create(model="m", input="hello", store=False)

    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model="m", input="more", previous_response_id=made.id)

    assert caught.value.param == "previous_response_id"
    assert caught.value.code == "previous_response_not_found"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"role": "nobody", "content": "a"}]}, "input"),
        ({"input": 3}, "input"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "other"}}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "xml"}}}, "text"),
        ({"background": True}, "background"),
    ],
)
async def test_what_openai_refuses_is_refused_by_the_name_of_the_field(client: Any, fields: Any, param: str):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(**{"model": "m", "input": "a", **fields})

    assert caught.value.param == param


async def test_an_input_is_counted_as_it_would_be_billed_and_for_nothing(both: tuple[Any, Running]):
    client, server = both
    first = await client.responses.create(model="m", input="hello", instructions="be brief")
    asked = {"model": "m", "input": "and then?", "instructions": "be brief", "previous_response_id": first.id}
    billed = server.tally.models["m"].input_tokens
    counted = await client.responses.input_tokens.count(**asked)
    free = server.tally.models["m"].input_tokens - billed
    answer = await client.responses.create(**asked)

    assert checked(counted) == {"object": "response.input_tokens", "input_tokens": answer.usage.input_tokens}
    assert counted.input_tokens > first.usage.input_tokens > 0
    assert free == 0


async def test_an_input_that_could_not_be_answered_is_not_counted(client: Any):
    with pytest.raises(openai.BadRequestError, match="not found") as refused:
        await client.responses.input_tokens.count(model="m", input="hello", previous_response_id="resp_nobody")

    assert refused.value.param == "previous_response_id"
