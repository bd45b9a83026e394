from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest
from openai.types.audio import TranscriptionStreamEvent, TranscriptionVerbose, TranslationVerbose

from gateway.simulate.server import Running
from gateway.simulate.sound import blocks
from tests.fakes.simulated import QUICK, checked, checked_as, simulated

pytestmark = pytest.mark.anyio
SOUND = ("a.wav", b"".join(blocks("wav", 200)), "audio/wav")
"""Two seconds of sound, which are three of 32,000 bytes and a header."""


@pytest.fixture
async def both() -> AsyncGenerator[tuple[Any, Running]]:
    async with simulated(**{"whisper-1": QUICK}) as both:
        yield both


@pytest.fixture
async def audio(both: tuple[Any, Running]) -> Any:
    return both[0].audio


async def test_a_sound_is_written_down_and_billed_by_tokens(both: tuple[Any, Running]):
    client, server = both
    answer = await client.audio.transcriptions.create(model="m", file=SOUND, prompt="abcdefgh")

    assert answer.text.startswith("Simulated answer:")
    assert checked(answer)["usage"]["input_token_details"] == {"audio_tokens": 40, "text_tokens": 2}
    assert answer.usage.input_tokens == 42 == server.tally.models["m"].input_tokens
    assert answer.usage.output_tokens == len(answer.text.split())


async def test_whisper_is_billed_by_the_second(audio: Any):
    answer = await audio.transcriptions.create(model="whisper-1", file=SOUND)

    assert answer.usage.to_dict() == {"type": "duration", "seconds": 4}


async def test_everything_about_it_can_be_told(audio: Any):
    answer = await audio.transcriptions.create(
        model="m", file=SOUND, response_format="verbose_json", timestamp_granularities=["word", "segment"]
    )

    checked_as(TranscriptionVerbose, answer.to_dict())
    assert "".join(segment.text for segment in answer.segments) == answer.text
    assert [word.word for word in answer.words] == answer.text.split()
    assert answer.usage.seconds == 4


@pytest.mark.parametrize(
    ("form", "beginning"), [("text", "Simulated"), ("srt", "1\n00:00:00,000 --> 00:00:04,000\n"), ("vtt", "WEBVTT\n\n")]
)
async def test_it_can_be_plain_text(audio: Any, form: str, beginning: str):
    assert (await audio.transcriptions.create(model="m", file=SOUND, response_format=form)).startswith(beginning)


async def test_it_can_be_streamed(audio: Any):
    stream = await audio.transcriptions.create(model="m", file=SOUND, stream=True)
    said = [one.to_dict() async for one in stream]

    for one in said:
        checked_as(TranscriptionStreamEvent, one)  # pyright: ignore[reportArgumentType] - a union of events is a type too
    assert "".join(one["delta"] for one in said[:-1]) == said[-1]["text"]
    assert said[-1]["usage"]["type"] == "tokens"


OLD = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""OpenAI's client says so of translations, which gateways are still asked for."""


@OLD
async def test_a_sound_is_translated(audio: Any):
    short = await audio.translations.create(model="whisper-1", file=SOUND)
    told = await audio.translations.create(model="whisper-1", file=SOUND, response_format="verbose_json")

    assert short.text.startswith("Simulated answer:")
    checked_as(TranslationVerbose, told.to_dict())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"file": ("a.wav", b"", "audio/wav")}, "file"),
        ({"temperature": 2}, "temperature"),
        ({"response_format": "docx"}, "response_format"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
    ],
)
async def test_what_cannot_be_written_down_is_refused_by_the_name_of_the_field(audio: Any, fields: Any, param: str):
    with pytest.raises(openai.BadRequestError) as caught:
        await audio.transcriptions.create(**{"model": "m", "file": SOUND, **fields})

    assert caught.value.param == param


@OLD
async def test_a_translation_is_never_streamed(audio: Any):
    with pytest.raises(openai.BadRequestError) as caught:
        await audio.translations.create(model="m", file=SOUND, extra_body={"stream": "true"})

    assert caught.value.param == "stream"
