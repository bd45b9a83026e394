"""A week of base before a rollout, drawn from a crowd: what a forecast is made of."""

from __future__ import annotations

import math

import numpy as np

from analytics.evidence import Check
from analytics.figures import ClusterSums
from analytics.forecast import Week
from benchmarks.gates.drawn.counts import Counts, Floats, generator
from benchmarks.gates.drawn.crowd import Crowd, People, with_icc
from benchmarks.gates.drawn.latencies import normal_tail
from benchmarks.gates.drawn.sums import check_sums
from benchmarks.gates.scenario import DAY_H

_DAYS = 7
_RATIOS = [2 ** (step / 20) for step in range(21)]


def base_week(crowd: Crowd, seed: int) -> dict[Check, Week]:
    """Return what a week with everybody in base says of every check."""
    rng = generator(seed, repr(crowd), 0)
    people = People(rng, crowd, _DAYS * DAY_H)
    who = people.within(0.0, _DAYS * DAY_H)
    rates = people.presence(who, np.arange(_DAYS + 1) * DAY_H) * people.rate_h[who]
    weeks: dict[Check, Week] = {
        "errors": _week(rng, rates, people.failing[who]),
        "satisfaction": _week(rng, rates * crowd.rated, people.unhappy[who]),
    }
    latencies: tuple[tuple[Check, Floats, float, float], ...] = (
        ("p50", people.slowness, 0.5, 1.0),
        ("p99", people.slowness, 0.99, 1.0),
        ("ttft", people.lateness, 0.5, crowd.streamed),
    )
    for check, effects, quantile, share in latencies:
        threshold = _quantile(rng, effects[who], rates.sum(axis=0), crowd, quantile)
        tails = [normal_tail((threshold + math.log(ratio) - effects[who]) / crowd.request_sd) for ratio in _RATIOS]
        by_user = rates.sum(axis=0)
        slower = {ratio: float(by_user @ tail / by_user.sum()) for ratio, tail in zip(_RATIOS, tails, strict=True)}
        weeks[check] = _week(rng, rates * share, tails[0], slower)
    return weeks


def with_design_effect(crowd: Crowd, effect: float, seed: int) -> Crowd:
    """Return the crowd with that correlation of errors by which a week's variance is so many times that of requests."""
    low, high = 0.0, 1.0
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        is_above = design_effect(with_icc(crowd, middle), seed) > effect
        low, high = (low, middle) if is_above else (middle, high)
    return with_icc(crowd, (low + high) / 2)


def design_effect(crowd: Crowd, seed: int) -> float:
    """Return by how much more the error rate of a week varies than if each request were a user."""
    rng = generator(seed, "design effect", 0)
    people = People(rng, crowd, _DAYS * DAY_H)
    who = people.within(0.0, _DAYS * DAY_H)
    rates = people.presence(who, np.array([0.0, _DAYS * DAY_H])) * people.rate_h[who]
    counts = _counts(rng, rates, people.failing[who])
    sums = check_sums(counts)[-1].base
    rate = sums.x.ratio or 0.0
    return (sums.x.variance or 0.0) / (rate * (1 - rate) / sums.x.n)


def _quantile(rng: np.random.Generator, effects: Floats, rates: Floats, crowd: Crowd, quantile: float) -> float:
    week = effects[rng.choice(len(effects), 100_000, p=rates / rates.sum())]
    return float(np.quantile(week + rng.normal(0.0, crowd.request_sd, len(week)), quantile))


def _counts(rng: np.random.Generator, rates: Floats, chance: Floats) -> Counts:
    x = rng.poisson(rates * chance).astype(np.float64)
    n = x + rng.poisson(rates * (1.0 - chance))
    return Counts(n=n, x=x, base=n.shape[1])


def _week(rng: np.random.Generator, rates: Floats, chance: Floats, slower: dict[float, float] | None = None) -> Week:
    days = _counts(rng, rates, chance)
    whole = Counts(n=days.n.sum(axis=0)[None, :], x=days.x.sum(axis=0)[None, :], base=days.base)
    daily: list[ClusterSums] = [sums.base.x for sums in check_sums(days)]
    week = check_sums(whole)[0].base
    return Week(
        rate=week.x.ratio or 0.0,
        requests_per_day=week.requests / _DAYS,
        users_day=sum(day.users for day in daily) / _DAYS,
        users=week.x.users,
        variance_day=sum(day.variance or 0.0 for day in daily) / _DAYS,
        variance=week.x.variance or 0.0,
        slower=slower or {},
    )
