from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest
from openai.types import ImageEditStreamEvent, ImageGenStreamEvent

from gateway.simulate.png import picture
from gateway.simulate.server import Running
from tests.fakes.simulated import checked, checked_as, simulated

pytestmark = pytest.mark.anyio
CAT = ("cat.png", picture((1, 2, 3)), "image/png")


@pytest.fixture
async def both() -> AsyncGenerator[tuple[Any, Running]]:
    async with simulated() as both:
        yield both


@pytest.fixture
async def images(both: tuple[Any, Running]) -> Any:
    return both[0].images


async def test_pictures_are_drawn_and_billed(both: tuple[Any, Running]):
    client, server = both
    said = checked(await client.images.generate(model="m", prompt="a cat", n=2, quality="low", size="1024x1536"))

    assert [base64.b64decode(one["b64_json"])[:4] for one in said["data"]] == [b"\x89PNG"] * 2
    assert (said["size"], said["quality"]) == ("1024x1536", "low")
    assert said["usage"]["output_tokens"] == 544 == server.tally.models["m"].output_tokens
    assert said["usage"]["input_tokens_details"] == {"image_tokens": 0, "text_tokens": 2}


async def test_a_picture_can_be_an_address(images: Any):
    answer = await images.generate(model="m", prompt="a cat", response_format="url")

    assert answer.data[0].url.startswith("data:image/png;base64,")


async def test_a_picture_is_streamed_in_parts(images: Any):
    stream = await images.generate(model="m", prompt="a cat", stream=True, partial_images=2)
    said = [one.to_dict() async for one in stream]

    for one in said:
        checked_as(ImageGenStreamEvent, one)  # pyright: ignore[reportArgumentType] - a union of events is a type too
    assert [one["type"].removeprefix("image_generation.") for one in said] == [*["partial_image"] * 2, "completed"]
    assert said[-1]["usage"]["output_tokens"] == 1056


async def test_pictures_are_edited(images: Any):
    said = checked(await images.edit(model="m", prompt="a dog", image=[CAT, CAT], mask=CAT))

    assert said["usage"]["input_tokens_details"]["image_tokens"] == 2 * 323


async def test_an_edit_is_streamed_too(images: Any):
    stream = await images.edit(model="m", prompt="a dog", image=CAT, stream=True, partial_images=1)
    said = [one.to_dict() async for one in stream]

    for one in said:
        checked_as(ImageEditStreamEvent, one)  # pyright: ignore[reportArgumentType] - as above
    assert [one["type"] for one in said] == ["image_edit.partial_image", "image_edit.completed"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"n": 11}, "n"),
        ({"size": "1x1"}, "size"),
        ({"output_format": "webp"}, "output_format"),
        ({"partial_images": 1}, "partial_images"),
        ({"stream": True, "partial_images": 4}, "partial_images"),
    ],
)
async def test_what_cannot_be_drawn_is_refused_by_the_name_of_the_field(images: Any, fields: Any, param: str):
    for act, more in ((images.generate, {}), (images.edit, {"image": CAT})):
        with pytest.raises(openai.BadRequestError) as caught:
            await act(**{"model": "m", "prompt": "a cat", **more, **fields})

        assert caught.value.param == param


async def test_an_edit_without_a_picture_is_refused(both: tuple[Any, Running]):
    with pytest.raises(openai.BadRequestError) as caught:
        await both[0].images.edit(model="m", prompt="a", image=[])

    assert caught.value.param in {"image", None}
