"""What makes a price doubtful: a wrong unit shows in how rates stand to each other, and to known ones. Pure.

All rates are in USD per million tokens. The limits are set by LiteLLM's public list (version 1.109.1, 3,787 priced
models), in which nothing is doubted but what is a thousand times too high there, or odd.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from analytics.pricing import Price, Rates

MOST_USD = 1_000.0
"""No price above is believed: the dearest public one is 600, for a million tokens of o1-pro's output."""
_DEAR = {"input": 100.0, "cached_input": 100.0, "output": 400.0}
_FAR = 100.0
_FAR_BY_SECOND = 30.0
"""A price by the minute is 60 prices by the second."""
_MIXED = 1_000.0
_MOST_OUTPUT_BY_INPUT = 200.0
_MOST_INPUT_BY_OUTPUT = 50.0
_MOST_INPUT_BY_CACHED = 200.0
_PER_SECOND = "input_second"

DoubtfulPart = Literal["input", "output", "cached_input", "input_second"]
_PARTS: tuple[DoubtfulPart, ...] = ("input", "output", "cached_input", "input_second")


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """Why a rate may be wrong; `is_error` where it cannot be right."""

    part: DoubtfulPart
    message: str
    is_error: bool = False


def doubts(price: Price, listed: Price | None) -> Iterator[Doubt]:
    """Yield what is doubtful in a price's standard rates; `listed` is the shipped price of the same model."""
    far = list(_compared(price, listed)) if listed is not None else list(_dear(price))
    yield from far or _mixed(price)


def is_beyond_belief(price: Price) -> bool:
    """Tell whether a rate of a price, under whatever condition, is above what any model costs."""
    return any(
        (getattr(rates, part) or 0.0) > MOST_USD
        for rates in (price, *price.when)
        for part in Rates.__struct_fields__
        if part != _PER_SECOND
    )


def _compared(price: Price, listed: Price) -> Iterator[Doubt]:
    """A hundredth of a public price may be meant, by who runs a model of that name; a hundred times it is not."""
    for part in _PARTS:
        own, known = getattr(price, part), getattr(listed, part)
        limit = _FAR_BY_SECOND if part == _PER_SECOND else _FAR
        if own and known and own >= known * limit:
            yield Doubt(
                part=part, is_error=True, message=f"{own:g} is {_times(own / known)} times the shipped {known:g}"
            )
        elif own and known and own * limit <= known:
            yield Doubt(part=part, message=f"{own:g} is 1/{_times(known / own)} of the shipped {known:g}")


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.3g}"


def _dear(price: Price) -> Iterator[Doubt]:
    for part in _PARTS:
        own = getattr(price, part)
        if own is not None and own >= _DEAR.get(part, float("inf")):
            yield Doubt(part=part, message=f"{own:g} is dearer than all but a few models")


def _mixed(price: Price) -> Iterator[Doubt]:
    """Compare rates of one price: two units in it are a thousand or a million apart."""
    own, out, cached = price.input, price.output, price.cached_input
    if own and out and out > own * _MOST_OUTPUT_BY_INPUT:
        yield _against("output", out, own, "input")
    elif own and out and own > out * _MOST_INPUT_BY_OUTPUT:
        yield _against("input", own, out, "output")
    if own and cached and cached > own:
        yield _against("cached_input", cached, own, "input")
    elif own and cached and own > cached * _MOST_INPUT_BY_CACHED:
        yield _against("input", own, cached, "cached_input")


def _against(part: DoubtfulPart, larger: float, smaller: float, other: str) -> Doubt:
    times = larger / smaller
    return Doubt(
        part=part, is_error=times >= _MIXED, message=f"{larger:g} is {_times(times)} times {other} ({smaller:g})"
    )
