"""What an answer cost. Pure: a price and a usage give dollars, or the reason why nobody knows.

The law: every token is billed once. Cached tokens are part of input, reasoning tokens part of output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from analytics.usage import Usage

Unknown = Literal[
    "no_price",
    "no_usage",
    "unclear_usage",
    "no_audio_price",
    "no_image_price",
    "no_cache_price",
    "no_duration_price",
    "no_tier_price",
    "no_long_context_price",
]
"""Why a cost is NULL: the model has no price; no usage was reported, or not all of it, or one that cannot be; or the
price lacks what this usage needs."""

Part = Literal[
    "input",
    "cached_input",
    "cache_creation",
    "cache_creation_long",
    "input_audio",
    "input_image",
    "output",
    "reasoning_output",
    "output_audio",
    "output_image",
]

_MILLION = 1_000_000
STANDARD_TIERS = frozenset({"", "default", "auto", "standard"})
"""What an answer calls the tier whose rates stand in the price itself."""
_SAME_TIER = {"fast": "priority"}
"""OpenAI's fast mode is billed, and usually reported, as priority."""

_FALLBACK: Mapping[Part, tuple[Part, ...]] = {
    "cached_input": ("cached_input", "input"),
    "cache_creation": ("cache_creation", "input"),
    "cache_creation_long": ("cache_creation_long",),
    "reasoning_output": ("reasoning_output", "output"),
}
"""A part is billed at the first of these rates that is given; any other part only at its own."""

_LACKING: Mapping[Part, Unknown] = {
    "input_audio": "no_audio_price",
    "output_audio": "no_audio_price",
    "input_image": "no_image_price",
    "output_image": "no_image_price",
    "cache_creation_long": "no_cache_price",
}


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """USD per million tokens, each >= 0, and `input_second` in USD per second of audio.

    A part without a rate of its own is billed as its whole (cached input as input, reasoning as output, images that
    were sent as input). Audio and images that were made are not: they cost several times as much, so their cost is
    unknown until their rate is given. Nor is `cache_creation_long`, where `cache_creation` has a rate.
    """

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    cache_creation: float | None = None
    cache_creation_long: float | None = None
    reasoning_output: float | None = None
    input_audio: float | None = None
    output_audio: float | None = None
    input_image: float | None = None
    output_image: float | None = None
    input_second: float | None = None


class Conditional(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rates that replace the standard ones: at a service tier, above a number of input tokens, or both."""

    tier: str | None = None
    above_tokens: int | None = None


class Price(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model's standard rates, and those that hold `when` something is so; nothing is inherited from the standard."""

    when: tuple[Conditional, ...] = ()

    @property
    def is_free(self) -> bool:
        """Tell whether input and output are given as 0 and nothing costs more."""
        rates = (getattr(self, name) for name in Rates.__struct_fields__)
        return self.input == 0 and self.output == 0 and not any(rates) and not self.when


class Cost(msgspec.Struct, frozen=True):
    """A cost in USD, or None together with the reason."""

    usd: float | None
    unknown: Unknown | None


def cost(usage: Usage | None, price: Price | None, tier: str | None = None) -> Cost:
    """Bill every token once; `tier` is the service tier that the answer says it was served at."""
    if price is None:
        return Cost(None, "no_price")
    if price.is_free:
        return Cost(0.0, None)
    if usage is None:
        return Cost(None, "no_usage")
    if not usage.is_clear:
        return Cost(None, "unclear_usage")
    rates, missing = _rates(price, _SAME_TIER.get(tier or "", tier or ""), usage.input or 0)
    return Cost(None, missing) if rates is None else _billed(usage, rates, missing)


def _billed(usage: Usage, rates: Rates, missing: Unknown) -> Cost:
    if usage.input is None:
        return _by_duration(usage, rates)
    if usage.output is None and not _output_is_free(rates):
        return Cost(None, "no_usage")
    return _by_tokens(usage, rates, missing)


def parts(usage: Usage, rates: Rates) -> Mapping[Part, int]:
    """Split a usage into what is billed apart: no token is in two parts, and all of them are in one.

    Where audio or images and the cache overlap, cached tokens are taken for text as far as there is text, and the rest
    is billed as what it is. Images without a rate of their own are input like any other.
    """
    total_in, total_out = usage.input or 0, usage.output or 0
    audio_in = min(usage.input_audio, total_in)
    image_in = min(usage.input_image, total_in - audio_in) if rates.input_image is not None else 0
    text_in = total_in - audio_in - image_in
    cached = min(usage.cached, text_in)
    written = min(usage.cache_creation, text_in - cached)
    written_long = min(usage.cache_creation_long, written) if rates.cache_creation is not None else 0
    audio_out = min(usage.output_audio, total_out)
    image_out = min(usage.output_image, total_out - audio_out)
    text_out = total_out - audio_out - image_out
    reasoning = min(usage.reasoning, text_out)
    return {
        "input": text_in - cached - written,
        "cached_input": cached,
        "cache_creation": written - written_long,
        "cache_creation_long": written_long,
        "input_audio": audio_in,
        "input_image": image_in,
        "output": text_out - reasoning,
        "reasoning_output": reasoning,
        "output_audio": audio_out,
        "output_image": image_out,
    }


def _rates(price: Price, tier: str, input_tokens: int) -> tuple[Rates | None, Unknown]:
    """Return the rates in force, or None; and the reason to give for what they lack."""
    if not price.when and tier in STANDARD_TIERS:
        return price, "no_price"
    standard = _longest(price, None, input_tokens)
    is_long = standard is not None and standard.above_tokens is not None
    if tier in STANDARD_TIERS:
        return (standard, "no_long_context_price") if standard is not None else (price, "no_price")
    at_tier = _longest(price, tier, input_tokens)
    if at_tier is not None and is_long and at_tier.above_tokens is None:
        return None, "no_long_context_price"
    return at_tier, "no_tier_price"


def _longest(price: Price, tier: str | None, input_tokens: int) -> Conditional | None:
    """Return the rates of a tier with the highest threshold that is exceeded."""
    fitting = [one for one in price.when if one.tier == tier and input_tokens > (one.above_tokens or -1)]
    return max(fitting, key=lambda one: one.above_tokens or 0, default=None)


def _rate(rates: Rates, part: Part) -> float | None:
    for name in _FALLBACK.get(part, (part,)):
        rate: float | None = getattr(rates, name)
        if rate is not None:
            return rate
    return None


def _output_is_free(rates: Rates) -> bool:
    """Tell whether output costs 0, however much of it there was: so it is with embeddings."""
    return rates.output == 0 and not (rates.reasoning_output or rates.output_audio or rates.output_image)


def _by_tokens(usage: Usage, rates: Rates, missing: Unknown) -> Cost:
    total = 0.0
    for part, count in parts(usage, rates).items():
        rate = _rate(rates, part)
        if rate is None and count:
            return Cost(None, _LACKING.get(part, missing))
        total += count * (rate or 0.0)
    return Cost(total / _MILLION, None)


def _by_duration(usage: Usage, rates: Rates) -> Cost:
    if usage.seconds is None:
        return Cost(None, "no_usage")
    if rates.input_second is None:
        return Cost(None, "no_duration_price")
    return Cost(usage.seconds * rates.input_second, None)
