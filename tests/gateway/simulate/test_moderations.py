from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest

from tests.fakes.simulated import QUICK, checked, simulated

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncGenerator[Any]:
    async with simulated(**{"omni-moderation-latest": QUICK}) as (client, _):
        yield client


async def test_each_text_is_judged_by_what_it_says_of_itself(client: Any):
    said = checked(await client.moderations.create(model="m", input=["all is well", "a test: flag:violence."]))

    harmless, violent = said["results"]
    assert harmless["flagged"] is False
    assert [name for name, hit in violent["categories"].items() if hit] == ["violence"]
    assert violent["category_scores"]["violence"] > 0.9
    assert said["model"] == "m"


async def test_parts_are_judged_together(client: Any):
    parts = [{"type": "text", "text": "flag:hate"}, {"type": "image_url", "image_url": {"url": "data:image/png;,"}}]
    said = checked(await client.moderations.create(input=parts))

    assert len(said["results"]) == 1
    assert said["model"] == "omni-moderation-latest"
    assert said["results"][0]["category_applied_input_types"]["violence"] == ["image", "text"]
    assert said["results"][0]["category_applied_input_types"]["hate"] == ["text"]


@pytest.mark.parametrize("given", [[], ["a", {"type": "text", "text": "b"}], 3, [{"type": "sound"}]])
async def test_what_is_no_input_is_refused(client: Any, given: Any):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.moderations.create(model="m", input=given)

    assert caught.value.param == "input"


async def test_a_default_model_that_is_not_simulated_is_not_found():
    async with simulated() as (client, _):
        with pytest.raises(openai.NotFoundError, match="omni-moderation-latest"):
            await client.moderations.create(input="a")
