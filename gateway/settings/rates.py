"""Judge the prices that a configuration gives itself: numbers, units, and what a rate needs beside it. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from analytics.plausible import MOST_USD
from analytics.pricetable import name_fault
from analytics.pricing import STANDARD_TIERS, Conditional, Price, Rates
from gateway.settings.problem import Keys, Problem, error_at, quoted, warning_at
from gateway.settings.schema import Configuration

_PER_TOKEN = 0.0005
"""The cheapest hosted models cost a hundred times as much per million tokens; the dearest, per token, less."""
_PER_SECOND = "input_second"
_TIER = re.compile(r"[!-~]{0,64}")
"""The empty one is the standard tier."""


def rate_problems(configuration: Configuration) -> Iterator[Problem]:
    """Yield what is wrong with the prices of models and of the table beside them."""
    for name, model in configuration.models.items():
        if model.price is not None:
            yield from _price(("models", name, "price"), model.price)
    for name, price in configuration.prices.table.items():
        if fault := name_fault(name):
            yield error_at(("prices", "table", name), fault)
        yield from _price(("prices", "table", name), price)


def _price(place: Keys, price: Price) -> Iterator[Problem]:
    if price.input_second is None and price.output_image is None:
        for part, example in (("input", "0.15"), ("output", "0.60")):
            if getattr(price, part) is None:
                yield error_at(place, f'"{part}" is missing; add {part} = {example}, USD per million tokens')
    yield from _rates(place, price)
    seen: set[tuple[str | None, int | None]] = set()
    for at, one in enumerate(price.when):
        yield from _condition((*place, "when", at), one)
        yield from _rates((*place, "when", at), one)
        if (one.tier, one.above_tokens) in seen:
            yield error_at((*place, "when", at), "stands there twice; write the rates of one condition together")
        seen.add((one.tier, one.above_tokens))


def _condition(place: Keys, one: Conditional) -> Iterator[Problem]:
    if one.tier is None and one.above_tokens is None:
        yield error_at(place, 'has no condition; add tier = "flex", or above_tokens = 200000')
    if one.tier is not None and not _TIER.fullmatch(one.tier):
        message = f"{quoted(one.tier)} is no tier; write what answers say, in 1 to 64 visible ASCII characters"
        yield error_at((*place, "tier"), message)
    elif one.tier in STANDARD_TIERS:
        yield error_at((*place, "tier"), f"{quoted(one.tier or '')} is the standard tier; its rates stand in the price")
    if one.above_tokens is not None and one.above_tokens < 1:
        yield error_at((*place, "above_tokens"), f"{one.above_tokens} is no threshold; write input tokens, 1 or more")


def _rates(place: Keys, rates: Rates) -> Iterator[Problem]:
    for part in Rates.__struct_fields__:
        price: float | None = getattr(rates, part)
        if price is not None:
            yield from _rate((*place, part), part, price)


def _rate(place: Keys, part: str, price: float) -> Iterator[Problem]:
    unit = "USD per second" if part == _PER_SECOND else "USD per million tokens"
    if not math.isfinite(price):
        yield error_at(place, f"{price} is not finite; write the price in {unit}, or leave it out")
    elif price < 0:
        yield error_at(place, f"{price:g} is below 0; write the price in {unit}, 0 or more")
    elif part == _PER_SECOND:
        if price > 1:
            yield warning_at(place, f"{price:g} is much for a second of audio; write {unit}")
    elif 0 < price < _PER_TOKEN:
        yield warning_at(place, f"{price:g} looks like USD per token; write {unit}: {price * 1e6:g}")
    elif price > MOST_USD:
        yield error_at(place, f"{price:g} is beyond every known price; write {unit}, at most {MOST_USD:g}")
