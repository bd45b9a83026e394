"""What a record says of tokens and cost, for everything that an upstream may report."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from analytics.pricing import Price
from analytics.record import Record
from gateway.proxy import reply
from gateway.proxy.exchange import Called, Exchange

PRICE = Price(input=1.0, output=2.0)
AUDIO_PRICE = Price(input=1.0, output=2.0, input_audio=40.0, output_audio=80.0, reasoning_output=4.0)


def settled(price: Price | None, reported: dict[str, Any] | None) -> Record:
    """Return the record of an answer that reported this usage, on top of a million tokens in and out."""
    exchange = Exchange({"request_id": "r", "seq": 1, "started_at": 0}, 0.0)
    exchange.dispatched(Called(arm=None, model="m", upstream="u", price=price, price_version="p1"), 0.0)
    if reported is not None:
        usage = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000, **reported}
        exchange.saw_answer(reply.read(msgspec.json.encode({"usage": usage})))
    return exchange.settle("ok", 1.0, status=200)


@pytest.mark.parametrize(
    ("price", "reported", "unknown", "price_version"),
    [
        (None, {}, "no_price", "p1"),
        (None, None, "no_price", "p1"),
        (PRICE, None, "no_usage", "p1"),
        (PRICE, {"prompt_tokens": None}, "no_usage", "p1"),
        (PRICE, {"completion_tokens": None}, "no_usage", "p1"),
        (PRICE, {"prompt_tokens": -1}, "unclear_usage", "p1"),
        (PRICE, {"completion_tokens": -1}, "unclear_usage", "p1"),
        (PRICE, {"input_tokens": 4}, "unclear_usage", "p1"),
        (PRICE, {"prompt_tokens_details": {"cached_tokens": 1_000_001}}, "unclear_usage", "p1"),
        (PRICE, {"prompt_tokens_details": {"audio_tokens": 1}}, "no_audio_price", "p1"),
        (PRICE, {"completion_tokens_details": {"audio_tokens": 1}}, "no_audio_price", "p1"),
    ],
)
def test_a_cost_that_nobody_knows_says_why(
    price: Price | None, reported: dict[str, Any] | None, unknown: str, price_version: str | None
):
    record = settled(price, reported)

    assert (record.cost_usd, record.cost_unknown, record.price_version) == (None, unknown, price_version)
    assert [attempt.cost_usd for attempt in record.attempts] == [None]


def test_every_kind_of_token_is_recorded_and_billed_once():
    record = settled(
        AUDIO_PRICE,
        {
            "prompt_tokens_details": {"cached_tokens": 500_000, "audio_tokens": 250_000},
            "completion_tokens_details": {"reasoning_tokens": 500_000, "audio_tokens": 125_000},
        },
    )

    assert (record.input_tokens, record.cached_tokens, record.input_audio_tokens) == (1_000_000, 500_000, 250_000)
    assert (record.output_tokens, record.reasoning_tokens, record.output_audio_tokens) == (1_000_000, 500_000, 125_000)
    assert record.cost_usd == 0.75 * 1.0 + 0.25 * 40.0 + 0.375 * 2.0 + 0.5 * 4.0 + 0.125 * 80.0
    assert record.cost_unknown is None


def test_the_other_spelling_of_usage_is_read_too():
    record = settled(
        PRICE,
        {
            "prompt_tokens": None,
            "completion_tokens": None,
            "input_tokens": 4,
            "output_tokens": 3,
            "input_tokens_details": {"cached_tokens": 2},
            "output_tokens_details": {"reasoning_tokens": 1},
        },
    )

    assert (record.input_tokens, record.cached_tokens) == (4, 2)
    assert (record.output_tokens, record.reasoning_tokens) == (3, 1)
    assert record.usage_source == "reported"


def test_parts_never_exceed_their_whole():
    record = settled(
        PRICE,
        {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}, "completion_tokens_details": None},
    )

    assert (record.input_tokens, record.cached_tokens, record.reasoning_tokens) == (5, 5, 0)
    assert (record.cost_usd, record.cost_unknown) == (None, "unclear_usage")


def saw(*answers: dict[str, Any], price: Price = PRICE) -> Record:
    exchange = Exchange({"request_id": "r", "seq": 1, "started_at": 0}, 0.0)
    exchange.dispatched(Called(arm=None, model="m", upstream="u", price=price, price_version="p1"), 0.0)
    for one in answers:
        read = reply.read(msgspec.json.encode(one))
        assert read is not None
        exchange.saw_chunk(read, 0.5)
    return exchange.settle("ok", 1.0, status=200)


def test_a_chat_answer_without_an_output_count_is_not_free():
    record = saw({"choices": [{"text": "hello"}], "usage": {"prompt_tokens": 10, "total_tokens": 10}})

    assert (record.input_tokens, record.output_tokens) == (10, None)
    assert (record.cost_usd, record.cost_unknown) == (None, "no_usage")


def test_an_embedding_has_no_output_count_and_a_cost():
    record = saw({"object": "list", "data": [], "usage": {"prompt_tokens": 10, "total_tokens": 10}})

    assert (record.output_tokens, record.cost_usd) == (0, 10 / 1e6)


@pytest.mark.parametrize("tier", [5, ["flex"], {"a": 1}, False])
def test_a_tier_that_is_no_text_is_not_the_standard_tier(tier: object):
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    record = saw({"service_tier": "default", "choices": []}, {"service_tier": tier, "usage": usage})

    assert (record.input_tokens, record.cost_usd, record.cost_unknown) == (10, None, "no_tier_price")


@pytest.mark.parametrize("tier", [None, "", "default"])
def test_no_tier_is_the_standard_tier_even_where_the_rest_is_odd(tier: object):
    record = saw({"id": 5, "service_tier": tier, "usage": {"prompt_tokens": 10, "completion_tokens": 5}})

    assert record.cost_usd == 20 / 1e6


def image(kind: str) -> dict[str, Any]:
    details = {"text_tokens": 10, "image_tokens": 0}
    return {"type": kind, "usage": {"input_tokens": 10, "output_tokens": 100, "input_tokens_details": details}}


@pytest.mark.parametrize("kind", ["image_generation.completed", "image_edit.completed"])
def test_the_usages_of_several_streamed_images_are_neither_summed_nor_is_the_last_taken(kind: str):
    price = Price(input=5.0, output=10.0, output_image=40.0)
    one, two = saw(image(kind), price=price), saw(image(kind), image(kind), price=price)

    assert one.cost_usd == (10 * 5.0 + 100 * 40.0) / 1e6
    assert (two.cost_usd, two.cost_unknown, two.input_tokens) == (None, "unclear_usage", None)
