"""How near a look is to proof, in words and in requests. Pure."""

from __future__ import annotations

import math

from analytics.proof import PASS_Z, Proof
from rollout.checks import Reading
from rollout.phrases import scores

POWER_Z = 2.802
"""1.960 + 0.842: with a margin so many standard errors wide, an equal candidate passes a look in four cases of five."""

_MOST = 1e12


def enough(reading: Reading, proof: Proof) -> int | None:
    """Return with about how many requests an equal candidate would pass; None where more are no remedy."""
    beyond = reading.sums.candidate.y
    room = proof.target - proof.base if beyond is None else proof.base - (beyond.ratio or 0.0)
    seen = reading.sums.candidate.requests
    if room <= 0:
        return None
    needed = seen * (POWER_Z * proof.expected_error / room) ** 2
    if not seen < needed < _MOST:
        return None
    digits = 10 ** max(0, int(math.log10(needed)) - 2)
    return math.ceil(needed / digits) * digits


def lost_score(proof: Proof) -> str:
    """Return the difference of satisfaction, its worst case at a look, and the margin."""
    lost = proof.candidate - proof.base
    difference, worst, margin = scores(-lost, -lost - PASS_Z * proof.error, proof.base - proof.target)
    return f"{difference}, at worst {worst}, margin {margin}"
