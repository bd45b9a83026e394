from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest

from gateway.simulate.server import Running
from tests.fakes.simulated import simulated

pytestmark = pytest.mark.anyio
ASKED: Any = {"model": "m", "input": "hello, world", "voice": "alloy"}


@pytest.fixture
async def both() -> AsyncGenerator[tuple[Any, Running]]:
    async with simulated() as both:
        yield both


@pytest.mark.parametrize(("form", "kind"), [("wav", "audio/wav"), ("mp3", "audio/mpeg"), ("pcm", "audio/pcm")])
async def test_a_text_is_spoken_in_the_asked_form(both: tuple[Any, Running], form: str, kind: str):
    client, server = both
    answer = await client.audio.speech.create(**ASKED, response_format=form)

    assert answer.response.headers["content-type"] == kind
    if form == "wav":
        with wave.open(io.BytesIO(answer.content)) as sound:
            assert sound.getnframes() == 3 * 240
    assert server.tally.models["m"].input_tokens == 3


async def test_events_carry_the_same_sound_and_the_usage(both: tuple[Any, Running]):
    client, _ = both
    whole = (await client.audio.speech.create(**ASKED, response_format="pcm")).content
    answer = await client.audio.speech.create(**ASKED, response_format="pcm", stream_format="sse")
    said = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]

    assert answer.response.headers["content-type"].startswith("text/event-stream")
    assert [one["type"] for one in said] == ["speech.audio.delta", "speech.audio.done"]
    assert b"".join(base64.b64decode(one["audio"]) for one in said[:-1]) == whole
    assert said[-1]["usage"] == {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "a" * 4097}, "input"),
        ({"voice": 3}, "voice"),
        ({"response_format": "opus"}, "response_format"),
        ({"response_format": "midi"}, "response_format"),
        ({"speed": 5}, "speed"),
    ],
)
async def test_what_cannot_be_spoken_is_refused_by_the_name_of_the_field(
    both: tuple[Any, Running], fields: Any, param: str
):
    with pytest.raises(openai.BadRequestError) as caught:
        await both[0].audio.speech.create(**{**ASKED, **fields})

    assert caught.value.param == param
