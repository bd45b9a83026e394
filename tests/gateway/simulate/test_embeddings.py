from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest

from gateway.simulate.config import SimulatedModel
from gateway.simulate.embeddings import vector
from gateway.simulate.server import Running
from tests.fakes.simulated import checked, simulated

pytestmark = pytest.mark.anyio
SMALL = SimulatedModel(ttft_ms=0, embedding_dimensions=8)


@pytest.fixture
async def both() -> AsyncGenerator[tuple[Any, Running]]:
    async with simulated(small=SMALL) as both:
        yield both


@pytest.mark.parametrize("form", ["float", "base64", None])
async def test_each_form_carries_the_same_unit_vector(both: tuple[Any, Running], form: str | None):
    more = {} if form is None else {"encoding_format": form}
    raw = await both[0].embeddings.with_raw_response.create(model="m", input="hello", **more)
    values = raw.parse().data[0].embedding if form != "base64" else None

    if values is None:
        assert isinstance(raw.http_response.json()["data"][0]["embedding"], str)
        return
    assert len(values) == 1536
    assert math.hypot(*values) == pytest.approx(1, abs=1e-6)
    assert values == pytest.approx(vector("hello", 1536), abs=1e-6)


@pytest.mark.parametrize(
    ("given", "vectors", "tokens"),
    [("abcdefgh", 1, 2), (["a", "bcdef"], 2, 3), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3)],
)
async def test_texts_and_tokens_have_a_vector_each_and_are_billed(
    both: tuple[Any, Running], given: Any, vectors: int, tokens: int
):
    client, server = both
    said = checked(await client.embeddings.create(model="small", input=given, encoding_format="float"))

    assert [one["index"] for one in said["data"]] == list(range(vectors))
    assert said["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert server.tally.models["small"].input_tokens == tokens
    assert server.tally.models["small"].output_tokens == 0


async def test_fewer_dimensions_can_be_asked_for(both: tuple[Any, Running]):
    short = await both[0].embeddings.create(model="small", input="a", dimensions=3)

    assert len(short.data[0].embedding) == 3
    assert math.hypot(*short.data[0].embedding) == pytest.approx(1, abs=1e-6)


async def test_different_texts_have_different_vectors():
    assert vector("a", 4) != vector("b", 4)
    assert vector("a", 4) == vector("a", 4)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": -1}, "input"),
        ({"dimensions": 9}, "dimensions"),
        ({"dimensions": 0}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
    ],
)
async def test_what_openai_refuses_is_refused_by_the_name_of_the_field(
    both: tuple[Any, Running], fields: Any, param: str
):
    with pytest.raises(openai.BadRequestError) as caught:
        await both[0].embeddings.create(**{"model": "small", "input": "a", **fields})

    assert caught.value.param == param
