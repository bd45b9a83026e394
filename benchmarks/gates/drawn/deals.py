"""Plain draws: users dealt out, and standard normal deviates."""

from __future__ import annotations

import numpy as np

from benchmarks.gates.drawn.counts import generator


def dealt(seed: int, name: str, run: int, *, share: float, users: int, every: int) -> list[int]:
    """Return the candidate's users after each `every` users, of whom a `share` (0-1) are its own."""
    return np.cumsum(generator(seed, name, run).binomial(every, share, users // every)).tolist()


def normals(seed: int, name: str, run: int, *, mean: float, count: int) -> list[float]:
    """Return so many deviates of standard deviation 1."""
    return generator(seed, name, run).normal(mean, 1.0, count).tolist()
