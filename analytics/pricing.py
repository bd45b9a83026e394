"""What an answer cost. Pure: a price and a usage give dollars, or the reason why nobody knows."""

from __future__ import annotations

from typing import Literal

import msgspec

from analytics.usage import Usage

Unknown = Literal["no_price", "no_usage", "no_audio_price"]
"""Why a cost is NULL: the model has no price; the upstream reported no usage; audio tokens without an audio price."""

_MILLION = 1_000_000


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD per million tokens, each >= 0.

    A part without a price of its own is billed as its whole (cached input as input, reasoning as output); audio is
    not: it costs several times as much, so its cost is unknown until its price is given.
    """

    input: float
    output: float
    cached_input: float | None = None
    reasoning_output: float | None = None
    input_audio: float | None = None
    output_audio: float | None = None


class Cost(msgspec.Struct, frozen=True):
    """A cost in USD, or None together with the reason."""

    usd: float | None
    unknown: Unknown | None


def cost(usage: Usage | None, price: Price | None) -> Cost:
    """Bill every token once: cached and audio tokens are taken out of input, reasoning and audio out of output."""
    if price is None:
        return Cost(None, "no_price")
    if usage is None or usage.input is None or usage.output is None:
        return Cost(None, "no_usage")
    if (usage.input_audio and price.input_audio is None) or (usage.output_audio and price.output_audio is None):
        return Cost(None, "no_audio_price")
    plain_input = max(usage.input - usage.cached - usage.input_audio, 0)
    plain_output = max(usage.output - usage.reasoning - usage.output_audio, 0)
    dollars = (
        plain_input * price.input
        + usage.cached * _or(price.cached_input, price.input)
        + usage.input_audio * (price.input_audio or 0.0)
        + plain_output * price.output
        + usage.reasoning * _or(price.reasoning_output, price.output)
        + usage.output_audio * (price.output_audio or 0.0)
    )
    return Cost(dollars / _MILLION, None)


def _or(own: float | None, whole: float) -> float:
    return whole if own is None else own
