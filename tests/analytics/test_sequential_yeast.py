"""The table of YEAST (arXiv 2406.16523, Table 1): how often each boundary is crossed, ours beside the others.

500 increments, normal with mean ξ and variance 2; their sum is looked at after each, one-sided at 5 %.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import accumulate
from statistics import NormalDist

import pytest

from analytics.sequential import ln_evidence

LAST, SIGMA = 500, math.sqrt(2)
SHIFTS = (0.0, 0.1, 0.2, 0.3)


def yeast(_: int) -> float:
    return NormalDist().inv_cdf(0.975) * SIGMA * math.sqrt(LAST)


def mixture(rho: float) -> Callable[[int], float]:
    return lambda n: SIGMA * math.sqrt((n + rho) * math.log((n + rho) / (0.01 * rho)))


def bonferroni(n: int) -> float:
    return NormalDist().inv_cdf(1 - 0.05 / LAST) * SIGMA * math.sqrt(n)


def evidence(n: int) -> float:
    """Return the sum at which E is 20, most sensitive at the last increment."""
    low, high = 0.0, 50.0
    for _ in range(60):
        z = (low + high) / 2
        low, high = (z, high) if ln_evidence(z, 2.0 * n, 2.0 * LAST, 0.05) < math.log(20) else (low, z)
    return high * SIGMA * math.sqrt(n)


TABLE: dict[str, tuple[Callable[[int], float], tuple[float, ...]]] = {
    "yeast": (yeast, (0.05, 0.44, 0.92, 1.00)),
    "gavi": (mixture(250 / 6.3290), (0.02, 0.24, 0.76, 0.99)),
    "msprt": (mixture(1 / 0.09), (0.03, 0.22, 0.73, 0.98)),
    "bonferroni": (bonferroni, (0.00, 0.04, 0.40, 0.90)),
    "evidence": (evidence, (0.017, 0.222, 0.760, 0.987)),
}


def crossings(runs: int, seed: int) -> dict[str, tuple[float, ...]]:
    """Return for each boundary and shift the share of runs that cross it, all on the same random walks."""
    rng = random.Random(seed)
    boundaries = {name: [bound(n) for n in range(1, LAST + 1)] for name, (bound, _) in TABLE.items()}
    margins = {
        (name, shift): [bound - shift * n for n, bound in enumerate(bounds, start=1)]
        for name, bounds in boundaries.items()
        for shift in SHIFTS
    }
    crossed = dict.fromkeys(margins, 0)
    for _ in range(runs):
        walk = list(accumulate(rng.gauss(0, SIGMA) for _ in range(LAST)))
        for key, margin in margins.items():
            crossed[key] += any(map(float.__ge__, walk, margin))
    return {name: tuple(crossed[name, shift] / runs for shift in SHIFTS) for name in TABLE}


def differences(runs: int, tolerance: float) -> list[tuple[str, float, float, float]]:
    found = crossings(runs, seed=20)
    return [
        (name, shift, share, expected)
        for name, (_, row) in TABLE.items()
        for shift, share, expected in zip(SHIFTS, found[name], row, strict=True)
        if abs(share - expected) > tolerance + 2 * math.sqrt(expected * (1 - expected) / runs)
    ]


def test_four_hundred_walks_cross_about_as_often_as_the_table_says():
    assert not differences(400, 0.02)


@pytest.mark.slow
def test_twenty_thousand_walks_cross_as_often_as_the_table_says():
    found = crossings(20_000, seed=20)

    for name, (_, row) in TABLE.items():
        assert found[name] == pytest.approx(row, abs=0.015), name
