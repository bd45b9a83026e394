from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.pricing import Cost, Price, cost
from analytics.usage import Usage

PLAIN = Price(input=0.15, output=0.60)
FULL = Price(input=2.0, output=8.0, cached_input=0.5, reasoning_output=10.0, input_audio=32.0, output_audio=64.0)


def test_a_million_tokens_each_way_cost_the_two_prices() -> None:
    assert cost(Usage(input=1_000_000, output=1_000_000), PLAIN) == Cost(0.75, None)


def test_cached_tokens_are_billed_once_at_their_own_price() -> None:
    price = Price(input=0.30, cached_input=0.15, output=1.20)

    # 976 x 0.30 + 1,024 x 0.15 + 500 x 1.20 millionths
    assert cost(Usage(input=2000, output=500, cached=1024), price).usd == pytest.approx(0.0010464)


def test_every_part_is_billed_once_at_its_own_price() -> None:
    usage = Usage(input=1000, output=500, cached=400, input_audio=100, reasoning=200, output_audio=50)

    # 500 x 2 + 400 x 0.5 + 100 x 32 + 250 x 8 + 200 x 10 + 50 x 64 = 11,600 millionths
    assert cost(usage, FULL).usd == pytest.approx(0.0116)


def test_a_part_without_a_price_is_billed_as_its_whole() -> None:
    usage = Usage(input=1000, output=500, cached=400, reasoning=200)

    assert cost(usage, PLAIN).usd == pytest.approx(cost(Usage(input=1000, output=500), PLAIN).usd)


def test_a_price_of_0_is_a_price() -> None:
    free_cache = Price(input=1.0, output=1.0, cached_input=0.0, reasoning_output=0.0)

    assert cost(Usage(input=10, output=10, cached=10, reasoning=10), free_cache) == Cost(0.0, None)


def test_a_model_without_a_price_costs_nobody_knows_what() -> None:
    assert cost(Usage(input=1, output=1), None) == Cost(None, "no_price")


@pytest.mark.parametrize("usage", [None, Usage(input=None, output=5), Usage(input=5, output=None)])
def test_without_both_counts_the_cost_is_unknown(usage: Usage | None) -> None:
    assert cost(usage, PLAIN) == Cost(None, "no_usage")


@pytest.mark.parametrize("usage", [Usage(input=10, output=1, input_audio=1), Usage(input=10, output=2, output_audio=1)])
def test_audio_without_an_audio_price_is_unknown_rather_than_too_cheap(usage: Usage) -> None:
    assert cost(usage, PLAIN) == Cost(None, "no_audio_price")


def test_an_unknown_key_in_a_price_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="cached"):
        msgspec.convert({"input": 1.0, "output": 1.0, "cached": 0.5}, Price)


TOKENS = st.integers(min_value=0, max_value=10_000)


@given(total_in=TOKENS, total_out=TOKENS, cached=TOKENS, reasoning=TOKENS)
def test_a_cost_is_never_negative_nor_more_than_everything_at_the_dearest_price(
    total_in: int, total_out: int, cached: int, reasoning: int
) -> None:
    usage = Usage(input=total_in, output=total_out, cached=min(cached, total_in), reasoning=min(reasoning, total_out))
    usd = cost(usage, FULL).usd

    assert usd is not None
    assert -1e-12 <= usd <= (total_in * 2.0 + total_out * 10.0) / 1e6 + 1e-12
