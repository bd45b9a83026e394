"""A total outage of the candidate, request by request: who failed before it, and who asks next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.gates.drawn.counts import propensities, requests
from benchmarks.gates.scenario import Scenario


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Users who failed so far: since the step began and within this clock hour, and how often candidates were asked."""

    base: int
    candidate: int
    hour_base: int
    hour_candidate: int
    candidate_requests: int


def outage(rng: np.random.Generator, scenario: Scenario, *, hour: float, most: int = 5_000) -> Iterator[Failed]:
    """Yield what is known after each request of a candidate user, from the outage's begin at a full `hour` on.

    Before it both arms fail at their users' own rates, as base does afterwards. Ends after `most` requests.
    """
    users = scenario.users
    base = users - int(rng.binomial(users, scenario.share))
    rates = requests(rng, scenario) / scenario.tick_h
    chance = propensities(rng, scenario, base)
    comes = np.where(rng.random(users) < scenario.present, 0.0, rng.uniform(0.0, scenario.horizon_h, users))
    has_failed = rng.random(users) < -np.expm1(-rates * chance * np.maximum(0.0, hour - comes))
    present = rates * (comes <= hour)
    has_failed_now = np.zeros(users, dtype=bool)
    asked = 0
    for user in rng.choice(users, most, p=present / present.sum()):
        is_candidate = user >= base
        asked += int(is_candidate)
        if is_candidate or rng.random() < chance[user]:
            has_failed[user] = has_failed_now[user] = True
        if is_candidate:
            counts = [
                int(each) for flags in (has_failed, has_failed_now) for each in (flags[:base].sum(), flags[base:].sum())
            ]
            yield Failed(
                base=counts[0],
                candidate=counts[1],
                hour_base=counts[2],
                hour_candidate=counts[3],
                candidate_requests=asked,
            )
