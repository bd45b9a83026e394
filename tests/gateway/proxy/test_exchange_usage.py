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
        (PRICE, {"prompt_tokens": -1}, "no_usage", "p1"),
        (PRICE, {"completion_tokens": -1}, "no_usage", "p1"),
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
