"""Draw how one request goes: how long it takes, whether it fails, how much is said. Pure: randomness comes in."""

from __future__ import annotations

import math
import zlib
from random import Random

import msgspec

from gateway.simulate.config import Fault, SimulatedModel

MOST_OUTPUT_TOKENS = 100_000
"""A drawn answer is never longer, whatever its distribution says."""


class Fate(msgspec.Struct, frozen=True):
    """How one request goes; `error` is the HTTP status that it fails with, `fault` what else goes wrong, or None."""

    ttft_ms: float
    error: int | None = None
    fault: Fault | None = None


def source(seed: int, model: str, ordinal: int) -> Random:
    """Return random numbers of their own for a model's n-th request (or for a caller's `seed`)."""
    return Random(seed << 96 ^ zlib.crc32(model.encode()) << 64 ^ ordinal & 0xFFFF_FFFF_FFFF_FFFF)


def fate(model: SimulatedModel, rng: Random) -> Fate:
    """Draw time to first token, and whether and how it fails."""
    ttft_ms = _lognormal(model.ttft_ms, model.ttft_sigma, rng)
    luck = rng.random()
    for status, share in model.errors.items():
        luck -= share
        if luck < 0:
            return Fate(ttft_ms, error=status)
    for fault, share in model.faults.items():
        luck -= share
        if luck < 0:
            return Fate(ttft_ms * (model.slow_factor if fault == "slow" else 1), fault=fault)
    return Fate(ttft_ms)


def output_length(model: SimulatedModel, rng: Random) -> int:
    """Draw an answer's length in tokens, at least 1."""
    return min(max(round(_lognormal(model.output_tokens, model.output_sigma, rng)), 1), MOST_OUTPUT_TOKENS)


def good(model: SimulatedModel, rng: Random) -> bool:
    """Draw whether a simulated user will like an answer."""
    return model.quality >= 1 or rng.random() < model.quality


def _lognormal(median: float, sigma: float, rng: Random) -> float:
    return median * math.exp(sigma * rng.normalvariate(0, 1)) if sigma else median
