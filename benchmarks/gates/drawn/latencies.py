"""Counts of slow requests of each user: latencies are lognormal with an effect of the user and one of the request.

No single latency of the step is drawn: given the user's effect, a request is slow with a known chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.gates.drawn.counts import Counts, Floats

_TAIL = np.frompyfunc(lambda z: math.erfc(z / math.sqrt(2)) / 2, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Users with so many `requests` each over the whole step; logarithmic standard deviations of user and request.

    `quantile` (0-1) is the one that the check is about, `ratio` its margin, `slower` the candidate's factor.
    """

    users: int = 2000
    share: float = 0.1
    requests: float = 50.0
    user_sd: float = 0.3
    request_sd: float = 0.6
    quantile: float = 0.99
    ratio: float = 1.2
    slower: float = 1.0
    dwell_h: float = 168.0
    tick_h: float = 6.0
    reference_requests: int = 100_000

    @property
    def name(self) -> str:
        """What tells these latencies from others of the table."""
        check = "p99" if self.quantile > 0.5 else "p50"
        return f"{check} x{self.slower:g}, margin {self.ratio:g}, {self.share * 100:g} % of {self.users:,}"


def slow_counts(rng: np.random.Generator, latencies: Latencies) -> Counts:
    """Draw a week before the step for the threshold, and the step's counts at every tick."""
    effects = rng.normal(0.0, latencies.user_sd, latencies.users)
    base = latencies.users - int(rng.binomial(latencies.users, latencies.share))
    threshold = reference(rng, effects, latencies)
    centre = effects.copy()
    centre[base:] += math.log(latencies.slower)
    slow = tail(threshold, centre, latencies)
    slower = tail(threshold + math.log(latencies.ratio), centre, latencies)
    ticks = round(latencies.dwell_h / latencies.tick_h)
    rate = latencies.requests / ticks
    shape = (ticks, latencies.users)
    y = rng.poisson(rate * slower, shape)
    x = y + rng.poisson(rate * (slow - slower), shape)
    n = x + rng.poisson(rate * (1.0 - slow), shape)
    n, x, y = (np.cumsum(each, axis=0, dtype=np.float64) for each in (n, x, y))
    return Counts(n=n, x=x, y=y, base=base)


def reference(rng: np.random.Generator, effects: Floats, latencies: Latencies) -> float:
    """Return the logarithm of Q0 as the week before shows it: the quantile of so many requests of these users."""
    who = rng.integers(0, len(effects), latencies.reference_requests)
    week = effects[who] + rng.normal(0.0, latencies.request_sd, latencies.reference_requests)
    return float(np.quantile(week, latencies.quantile))


def tail(threshold: float, centre: Floats, latencies: Latencies) -> Floats:
    """Return each user's chance that a request takes longer than a threshold, given as a logarithm."""
    return normal_tail((threshold - centre) / latencies.request_sd)


def normal_tail(z: Floats) -> Floats:
    """Return the chance (0-1) of a standard normal deviate above z."""
    return _TAIL(z).astype(np.float64)
