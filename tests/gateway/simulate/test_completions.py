from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest

from tests.fakes.simulated import checked, simulated

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncGenerator[Any]:
    async with simulated() as (client, _):
        yield client


async def test_a_prompt_is_completed_up_to_openais_default_length(client: Any):
    said = checked(await client.completions.create(model="m", prompt="Once upon"))

    assert said["object"] == "text_completion"
    assert said["id"].startswith("cmpl-")
    assert said["choices"][0]["finish_reason"] == "length"
    assert said["usage"]["completion_tokens"] == 16 == len(said["choices"][0]["text"].split())
    assert said["usage"]["prompt_tokens"] == 3


@pytest.mark.parametrize(
    ("prompt", "choices", "tokens"),
    [("abcd" * 5, 2, 5), (["abcd", "efghi"], 4, 3), ([1, 2, 3], 2, 3), ([[1, 2], [3]], 4, 3)],
)
async def test_every_prompt_is_completed_n_times(client: Any, prompt: Any, choices: int, tokens: int):
    said = checked(await client.completions.create(model="m", prompt=prompt, n=2, max_tokens=5))

    assert [choice["index"] for choice in said["choices"]] == list(range(choices))
    assert said["usage"]["prompt_tokens"] == tokens
    assert said["usage"]["completion_tokens"] == 5 * choices


async def test_a_stream_says_the_same_and_tells_its_usage_when_asked(client: Any):
    asked: dict[str, Any] = {"model": "m", "prompt": "a", "max_tokens": 30, "seed": 3}
    whole = await client.completions.create(**asked)
    stream = await client.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]

    assert "".join(chunk.choices[0].text for chunk in chunks[:-1]) == whole.choices[0].text
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


async def test_echo_stop_and_logprobs_are_obeyed(client: Any):
    said = checked(await client.completions.create(model="m", prompt="Yes.", echo=True, stop="answer", logprobs=1))

    choice = said["choices"][0]
    assert choice["text"] == "Yes.Simulated "
    assert choice["finish_reason"] == "stop"
    assert choice["logprobs"]["tokens"] == ["Yes.", "Simulated", " "]
    assert choice["logprobs"]["text_offset"] == [0, 4, 13]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", 3]}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"logprobs": 6}, "logprobs"),
        ({"n": 2, "best_of": 1}, "best_of"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
    ],
)
async def test_what_openai_refuses_is_refused_by_the_name_of_the_field(client: Any, fields: Any, param: str):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.completions.create(**{"model": "m", "prompt": "a", **fields})

    assert caught.value.param == param
