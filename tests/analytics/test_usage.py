from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.usage import UNCLEAR, Usage, WireUsage, reported

CHAT = b"""{"prompt_tokens": 1117, "completion_tokens": 46, "total_tokens": 1163,
 "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 3},
 "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 4, "accepted_prediction_tokens": 0}}"""
RESPONSES = b"""{"input_tokens": 328, "input_tokens_details": {"cached_tokens": 128}, "output_tokens": 52,
 "output_tokens_details": {"reasoning_tokens": 20}, "total_tokens": 380}"""


def read(text: bytes) -> Usage | None:
    return reported(msgspec.json.decode(text, type=WireUsage))


def test_the_usage_of_a_chat_completion_is_read_with_all_its_parts() -> None:
    assert read(CHAT) == Usage(input=1117, output=46, cached=1024, input_audio=3, reasoning=12, output_audio=4)


def test_the_usage_of_a_response_is_read_with_all_its_parts() -> None:
    assert read(RESPONSES) == Usage(input=328, output=52, cached=128, reasoning=20)


def test_parts_that_are_absent_or_null_count_0() -> None:
    assert read(b'{"prompt_tokens": 5, "completion_tokens": 2}') == Usage(input=5, output=2)
    assert read(
        b'{"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": null}}'
    ) == Usage(input=5, output=2)


def test_an_embedding_reports_no_output_and_has_none() -> None:
    assert read(b'{"prompt_tokens": 8, "total_tokens": 8}') == Usage(input=8, output=0)


@pytest.mark.parametrize("text", [b"{}", b'{"completion_tokens": 3}', b'{"total_tokens": 3}'])
def test_a_usage_without_input_is_none(text: bytes) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"prompt_tokens": -1}',
        b'{"prompt_tokens": 4, "completion_tokens": -2}',
        b'{"prompt_tokens": 2147483648, "completion_tokens": 1}',
        b'{"prompt_tokens": 10, "completion_tokens": 5, "input_tokens": 20, "output_tokens": 50}',
        b'{"prompt_tokens": 10, "completion_tokens": 5, "output_tokens": 50}',
        b'{"prompt_tokens":9,"prompt_tokens_details":{},"input_tokens":9,"input_tokens_details":{"audio_tokens": 2}}',
    ],
)
def test_counts_that_cannot_be_or_contradict_each_other_tell_nothing(text: bytes) -> None:
    assert read(text) == UNCLEAR


@pytest.mark.parametrize(
    "text",
    [
        b'{"prompt_tokens": 10, "completion_tokens": 5, "input_tokens": 10, "output_tokens": 5}',
        b'{"prompt_tokens": 10, "completion_tokens": 5, "input_tokens": 0, "output_tokens": 0}',
        b'{"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 10, "output_tokens": 5}',
        b'{"prompt_tokens": 10, "output_tokens": 5}',
        b'{"input_tokens":10,"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{},"input_tokens_details":{}}',
        b'{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}',
        b'{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 0}',
    ],
)
def test_both_spellings_are_one_usage_where_they_agree_or_one_is_not_used(text: bytes) -> None:
    assert read(text) == Usage(input=10, output=5)


@pytest.mark.parametrize(
    "more",
    [
        b'"total_tokens": 1000',
        b'"prompt_tokens_details": {"cached_tokens": 30}',
        b'"prompt_tokens_details": {"cached_tokens": -3}',
        b'"prompt_tokens_details": {"audio_tokens": 6, "image_tokens": 5}',
        b'"prompt_tokens_details": {"cache_write_tokens": 11}',
        b'"prompt_tokens_details": {"cache_write_tokens": 3, "cache_write_tokens_details": {"ttl_12h_tokens": 4}}',
        b'"completion_tokens_details": {"reasoning_tokens": 6}',
        b'"completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 3}',
    ],
)
def test_parts_that_are_no_parts_keep_the_counts_and_are_marked(more: bytes) -> None:
    usage = read(b'{"prompt_tokens": 10, "completion_tokens": 5, %b}' % more)

    assert usage is not None
    assert (usage.input, usage.output, usage.is_clear) == (10, 5, False)


@pytest.mark.parametrize("text", [b'{"prompt_tokens": 8}', b'{"prompt_tokens": 8, "total_tokens": 9}'])
def test_output_that_was_not_reported_is_not_0(text: bytes) -> None:
    assert read(text) == Usage(input=8, output=None)


def test_an_answer_with_choices_has_output_whatever_its_total_says() -> None:
    wire = WireUsage(prompt_tokens=8, total_tokens=8)

    assert reported(wire) == Usage(input=8, output=0)
    assert reported(wire, has_choices=True) == Usage(input=8, output=None)


COUNTS = st.one_of(st.none(), st.integers(min_value=-5, max_value=100))


@given(total_in=st.integers(min_value=0, max_value=50), cached=COUNTS, audio=COUNTS)
def test_a_part_is_never_negative_and_never_more_than_its_whole(
    total_in: int, cached: int | None, audio: int | None
) -> None:
    details = {"cached_tokens": cached, "audio_tokens": audio}
    usage = read(msgspec.json.encode({"prompt_tokens": total_in, "prompt_tokens_details": details}))

    assert usage is not None
    assert 0 <= usage.cached <= total_in
    assert 0 <= usage.input_audio <= total_in


def test_cache_writes_are_what_is_left_of_input_after_what_was_read_from_the_cache() -> None:
    usage = read(
        b'{"input_tokens": 100, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 70, '
        b'"cache_write_tokens": 50, "cache_write_tokens_details": {"ttl_12h_tokens": 40, "ttl_30m_tokens": 10}}}'
    )

    assert usage == Usage(input=100, output=1, cached=70, cache_creation=30, cache_creation_long=30)


def test_made_images_without_parts_are_all_image() -> None:
    details = b'"input_tokens_details": {"image_tokens": 0, "text_tokens": 5}'

    assert read(b'{"input_tokens": 5, "output_tokens": 9, %b}' % details) == Usage(input=5, output=9, output_image=9)
    assert read(
        b'{"input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"image_tokens": 7}, %b}' % details
    ) == Usage(input=5, output=9, output_image=7)


def test_pictures_in_a_chat_say_nothing_of_its_output() -> None:
    assert read(b'{"prompt_tokens": 5, "completion_tokens": 9, "prompt_tokens_details": {"image_tokens": 3}}') == Usage(
        input=5, output=9, input_image=3
    )


def test_a_transcription_reports_tokens_or_seconds() -> None:
    tokens = b'{"type": "tokens", "input_tokens": 14, "output_tokens": 45, "input_token_details": {"audio_tokens": 10}}'

    assert read(tokens) == Usage(input=14, output=45, input_audio=10)
    assert read(b'{"type": "duration", "seconds": 9}') == Usage(input=None, output=None, seconds=9.0)


@pytest.mark.parametrize("text", [b'{"seconds": -1}', b'{"seconds": 1e300}', b'{"seconds": 3, "output_tokens": 2}'])
def test_seconds_that_cannot_be_are_not_believed(text: bytes) -> None:
    assert read(text) == UNCLEAR
