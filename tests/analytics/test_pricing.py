from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.pricing import Conditional, Cost, Price, Unknown, cost, parts
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


def test_of_a_usage_that_cannot_be_no_cost_is_made() -> None:
    assert cost(Usage(input=1, output=1, is_clear=False), PLAIN) == Cost(None, "unclear_usage")
    assert cost(Usage(input=1, output=1, is_clear=False), Price(input=0.0, output=0.0)) == Cost(0.0, None)


def test_output_that_costs_nothing_need_not_be_counted() -> None:
    unreported = Usage(input=1_000_000, output=None)

    assert cost(unreported, Price(input=0.02, output=0.0)) == Cost(0.02, None)
    assert cost(unreported, Price(input=0.02)) == Cost(None, "no_usage")
    assert cost(unreported, Price(input=0.02, output=0.0, output_image=8.0)) == Cost(None, "no_usage")


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


PARTS = [name for name in Price.__struct_fields__ if name not in ("when", "input_second")]
RISING: dict[str, Any] = {name: 1.0 + at for at, name in enumerate(PARTS)}
FLAT: dict[str, Any] = dict.fromkeys(PARTS, 3.0)
DEAR = Price(
    **RISING, when=(Conditional(above_tokens=5_000, input=20.0, output=30.0, input_audio=40.0, output_audio=50.0),)
)
COUNTS = st.integers(min_value=0, max_value=10_000)
USAGES = st.builds(
    Usage,
    **dict.fromkeys(("input", "output", "cached", "cache_creation", "cache_creation_long", "reasoning"), COUNTS),
    **dict.fromkeys(("input_audio", "output_audio", "input_image", "output_image"), COUNTS),
)
PRICES = st.sampled_from([PLAIN, FULL, DEAR])


@given(usage=USAGES, price=PRICES)
def test_every_token_is_in_exactly_one_part(usage: Usage, price: Price) -> None:
    found = parts(usage, price)

    assert min(found.values()) >= 0
    assert sum(count for name, count in found.items() if not name.startswith(("output", "reasoning"))) == usage.input
    assert sum(count for name, count in found.items() if name.startswith(("output", "reasoning"))) == usage.output


@given(usage=USAGES)
def test_a_cost_is_the_sum_of_its_parts(usage: Usage) -> None:
    price = msgspec.structs.replace(DEAR, when=())
    bill = sum(count * getattr(price, name) for name, count in parts(usage, price).items())

    assert cost(usage, price).usd == pytest.approx(bill / 1e6, rel=1e-12)


@given(usage=USAGES)
def test_with_one_rate_for_everything_parts_do_not_matter(usage: Usage) -> None:
    flat = Price(**FLAT)
    whole = Usage(input=usage.input, output=usage.output)

    assert cost(usage, flat).usd == pytest.approx(cost(whole, flat).usd, rel=1e-12)


@given(usage=USAGES, more=COUNTS, price=PRICES, grown=st.sampled_from(["input", "output"]))
def test_more_tokens_never_cost_less(usage: Usage, more: int, price: Price, grown: str) -> None:
    """Parts stay as they are: what is added is plain input or output."""
    small = parts_within(usage)
    large = msgspec.structs.replace(small, **{grown: getattr(small, grown) + more})
    before, after = cost(small, price).usd, cost(large, price).usd

    if before is not None and after is not None:
        assert after >= before - 1e-12


def parts_within(usage: Usage) -> Usage:
    """Make the whole at least as large as the sum of its parts, so that no part is cut."""
    into = usage.cached + usage.cache_creation + usage.input_audio + usage.input_image
    out = usage.reasoning + usage.output_audio + usage.output_image
    return msgspec.structs.replace(usage, input=into + (usage.input or 0), output=out + (usage.output or 0))


def test_cached_audio_is_billed_once() -> None:
    usage = Usage(input=1000, output=0, cached=1000, input_audio=100)

    # 900 cached text x 0.5 + 100 audio x 32, not 1,000 x 0.5 + 100 x 32
    assert cost(usage, FULL).usd == pytest.approx((900 * 0.5 + 100 * 32) / 1e6)


TIERED = Price(
    input=10.0,
    output=20.0,
    when=(
        Conditional(tier="flex", input=5.0, output=10.0),
        Conditional(tier="half", input=5.0),
        Conditional(above_tokens=100, input=15.0, output=25.0),
        Conditional(above_tokens=200, input=18.0),
        Conditional(tier="priority", input=20.0, output=40.0),
        Conditional(tier="priority", above_tokens=100, input=30.0, output=50.0),
    ),
)


@pytest.mark.parametrize(
    ("tier", "tokens", "usd_per_million"),
    [
        (None, 100, 10.0 * 100 + 20.0),
        ("", 1, 30.0),
        ("auto", 1, 30.0),
        ("default", 101, 15.0 * 101 + 25.0),
        ("flex", 1, 15.0),
        ("priority", 100, 20.0 * 100 + 40.0),
        ("fast", 101, 30.0 * 101 + 50.0),
    ],
)
def test_tier_and_length_choose_the_rates(tier: str | None, tokens: int, usd_per_million: float) -> None:
    assert cost(Usage(input=tokens, output=1), TIERED, tier).usd == pytest.approx(usd_per_million / 1e6)


@pytest.mark.parametrize(
    ("tier", "tokens", "reason"),
    [
        ("scale", 1, "no_tier_price"),
        ("scale", 101, "no_tier_price"),
        ("half", 1, "no_tier_price"),
        ("flex", 101, "no_long_context_price"),
        (None, 201, "no_long_context_price"),
    ],
)
def test_what_tier_or_length_leave_unpriced_is_unknown(tier: str | None, tokens: int, reason: Unknown) -> None:
    assert cost(Usage(input=tokens, output=1), TIERED, tier) == Cost(None, reason)


def test_a_tier_without_any_rates_is_unknown_for_a_price_without_conditions() -> None:
    assert cost(Usage(input=1, output=1), PLAIN, "priority") == Cost(None, "no_tier_price")


@pytest.mark.parametrize(
    ("usage", "price", "reason"),
    [
        (Usage(input=1, output=1, output_image=1), PLAIN, "no_image_price"),
        (Usage(input=1, output=1), Price(input=1.0), "no_price"),
        (Usage(input=1, output=1), Price(input_second=1.0), "no_price"),
        (Usage(input=None, output=None, seconds=1.0), PLAIN, "no_duration_price"),
        (
            Usage(input=9, output=1, cache_creation=2, cache_creation_long=1),
            Price(input=1.0, output=1.0, cache_creation=1.25),
            "no_cache_price",
        ),
    ],
)
def test_a_cost_that_the_price_does_not_cover_is_unknown(usage: Usage, price: Price, reason: Unknown) -> None:
    assert cost(usage, price) == Cost(None, reason)


def test_seconds_are_billed_by_the_second() -> None:
    assert cost(Usage(input=None, output=None, seconds=90.5), Price(input_second=0.0001)).usd == pytest.approx(0.00905)


def test_cache_writes_without_a_price_are_input_whatever_their_age() -> None:
    usage = Usage(input=10, output=0, cache_creation=6, cache_creation_long=4)

    assert cost(usage, Price(input=1.0, output=1.0)).usd == pytest.approx(10 / 1e6)


@pytest.mark.parametrize("usage", [None, Usage(input=5, output=5, input_audio=2), Usage(input=None, output=None)])
def test_a_free_model_costs_nothing_whatever_it_reports(usage: Usage | None) -> None:
    assert cost(usage, Price(input=0.0, output=0.0), "flex") == Cost(0.0, None)


@pytest.mark.parametrize(
    "price",
    [
        Price(input=0.0),
        Price(input=0.0, output=0.0, output_audio=1.0),
        Price(input=0.0, output=0.0, when=(Conditional(tier="priority", input=1.0),)),
    ],
)
def test_a_price_that_is_not_all_0_is_not_free(price: Price) -> None:
    assert cost(None, price) == Cost(None, "no_usage")
