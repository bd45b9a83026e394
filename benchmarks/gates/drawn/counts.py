"""Counts of requests and events of each user, tick by tick: traffic drawn at random.

A user's requests of a tick are Poisson, and their events a thinning of them, hence Poisson too: no single request is
drawn, and yet the counts are distributed as if each had been.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.gates.scenario import DAY_H, Scenario

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Running counts, one row per tick and one column per user, the first `base` columns base's users.

    `n`: requests; `x`: events among them; `y`: events beyond the margin's threshold, for latency alone.
    """

    n: Floats
    x: Floats
    base: int
    y: Floats | None = None

    def at(self, rows: Sequence[int]) -> Counts:
        """Return the same at some ticks alone."""
        picked = list(rows)
        return Counts(n=self.n[picked], x=self.x[picked], y=None if self.y is None else self.y[picked], base=self.base)


def generator(seed: int, name: str, run: int) -> np.random.Generator:
    """Return the random numbers of one run: the same whatever else is played, and in however many processes."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), run])


def drawn(rng: np.random.Generator, scenario: Scenario) -> Counts:
    """Draw one run of a scenario."""
    users = scenario.users
    base = users - (round(users * scenario.share) if scenario.is_exact else int(rng.binomial(users, scenario.share)))
    rate = presence(rng, scenario) * requests(rng, scenario)
    more, worse = _pattern(rng, scenario)
    rate = rate * more
    chance = np.clip(propensities(rng, scenario, base) * worse, 0.0, 1.0)
    x = rng.poisson(rate * chance)
    n = x + rng.poisson(rate * (1.0 - chance))
    return Counts(n=np.cumsum(n, axis=0, dtype=np.float64), x=np.cumsum(x, axis=0, dtype=np.float64), base=base)


def requests(rng: np.random.Generator, scenario: Scenario) -> Floats:
    """Draw how many requests a tick each user makes on average."""
    mean = scenario.requests * scenario.tick_h / 6.0
    return rng.lognormal(math.log(mean) - scenario.skew**2 / 2, scenario.skew, scenario.users)


def presence(rng: np.random.Generator, scenario: Scenario) -> Floats:
    """Draw which share (0-1) of each tick each user is there for: ticks by users."""
    users, end = scenario.users, scenario.horizon_h
    if scenario.pattern == "bursts then learning":
        comes, goes = np.zeros(users), np.full(users, np.inf)
    elif scenario.pattern == "churn":
        stay_h = 2 * DAY_H
        comes = rng.uniform(-3 * stay_h, end, users)
        goes = comes + rng.exponential(stay_h, users)
    else:
        comes = np.where(rng.random(users) < scenario.present, 0.0, rng.uniform(0.0, end, users))
        goes = np.full(users, np.inf)
    starts = (np.arange(scenario.ticks) * scenario.tick_h)[:, None]
    overlap = np.minimum(starts + scenario.tick_h, goes) - np.maximum(starts, comes)
    return np.clip(overlap / scenario.tick_h, 0.0, 1.0)


def propensities(rng: np.random.Generator, scenario: Scenario, base: int) -> Floats:
    """Draw each user's chance (0-1) of an event, the candidate's users after base's."""
    chance = beta(rng, scenario.rate, scenario.icc, scenario.users)
    mean = scenario.rate * scenario.effect
    if scenario.harm == "scaled":
        chance[base:] *= scenario.effect
    elif scenario.harm == "added":
        chance[base:] += (mean - scenario.rate) / (1.0 - scenario.rate) * (1.0 - chance[base:])
    else:
        chance[base:] = beta(rng, mean, scenario.icc, scenario.users - base)
    return chance


def beta(rng: np.random.Generator, mean: float, icc: float, users: int) -> Floats:
    """Draw chances (0-1) about a mean, of whose events a share `icc` of the variance lies between users."""
    if not icc:
        return np.full(users, mean)
    size = 1.0 / icc - 1.0
    return rng.beta(mean * size, (1.0 - mean) * size, users)


def _pattern(rng: np.random.Generator, scenario: Scenario) -> tuple[Floats, Floats]:
    """Return by how much a scenario's pattern multiplies requests and chances: ticks by users, or by one."""
    middle_h = ((np.arange(scenario.ticks) + 0.5) * scenario.tick_h)[:, None]
    more = worse = np.ones((1, 1))
    match scenario.pattern:
        case "diurnal":
            wave = np.sin(2 * math.pi * middle_h / DAY_H)
            more, worse = 1.0 + 0.8 * wave, 1.0 - 0.5 * wave
        case "growth":
            more = 1.0 + 4.0 * middle_h / scenario.horizon_h
        case "bursts then learning":
            later = rng.uniform(0.0, scenario.horizon_h, scenario.users)
            since_h = middle_h - np.where(rng.random(scenario.users) < scenario.present, 0.0, later)
            is_new = since_h < DAY_H
            more, worse = np.where(since_h < 0, 0.0, np.where(is_new, 8.0, 0.5)), np.where(is_new, 3.0, 0.3)
        case "alternating":
            is_odd = (middle_h // DAY_H + rng.integers(0, 2, scenario.users)) % 2 == 1
            worse = np.where(is_odd, 1.9, 0.1)
        case "hourly incidents":
            hours = max(1, round(scenario.tick_h))
            worse = 1.0 + rng.binomial(hours, 1 / 48, (scenario.ticks, 1)) / hours * (0.3 / scenario.rate)
        case "second half x7":
            worse = np.where(middle_h >= scenario.dwell_h / 2, 7.0, 1.0)
        case _:
            pass
    return more, worse
