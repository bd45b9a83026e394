"""A crowd that stays the same people from step to step, and what each gate's check counts of them, tick by tick.

Each check's requests are drawn on their own: a user's checks go together by how much is asked, not request by request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from analytics.evidence import Check, FailingUsers
from benchmarks.gates.drawn.counts import Counts, Floats, beta
from benchmarks.gates.drawn.latencies import normal_tail
from benchmarks.gates.drawn.sums import caps, check_sums, drift
from benchmarks.gates.scenario import DAY_H
from benchmarks.gates.steps import Tick
from rollout.phase import FrozenStep

_REFERENCE_REQUESTS = 100_000
Figure = TypeVar("Figure")


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Users at any one time, and what they do. Rates and shares are 0-1, requests are per user and day.

    A share `turnover` of the users is new each day, and as many leave. `rate`, `icc`: errors; `unhappy`, `unhappy_icc`:
    ratings, which a share `rated` of the requests gets; `streamed`: the share that streams.
    """

    users: int = 2000
    requests: float = 8.0
    skew: float = 1.0
    turnover: float = 0.02
    rate: float = 0.01
    icc: float = 0.02
    user_sd: float = 0.3
    request_sd: float = 0.6
    streamed: float = 0.6
    rated: float = 0.1
    unhappy: float = 0.2
    unhappy_icc: float = 0.2


def with_icc(crowd: Crowd, icc: float) -> Crowd:
    """Return the same crowd with another correlation of a user's errors."""
    return replace(crowd, icc=icc)


class People:
    """The users of one run: when they come and go, their bucket, and how they are."""

    def __init__(self, rng: np.random.Generator, crowd: Crowd, horizon_h: float) -> None:
        """Draw everybody who is there at some time within the horizon."""
        arrivals = round(crowd.users * crowd.turnover * horizon_h / DAY_H)
        count = crowd.users + arrivals
        stay_h = DAY_H / crowd.turnover if crowd.turnover else math.inf
        self.comes = np.append(np.zeros(crowd.users), rng.uniform(0.0, horizon_h, arrivals))
        self.goes = self.comes + (rng.exponential(stay_h, count) if crowd.turnover else math.inf)
        self.bucket = rng.random(count)
        self.rate_h = rng.lognormal(math.log(crowd.requests / DAY_H) - crowd.skew**2 / 2, crowd.skew, count)
        self.failing = beta(rng, crowd.rate, crowd.icc, count)
        self.slowness = rng.normal(0.0, crowd.user_sd, count)
        self.lateness = rng.normal(0.0, crowd.user_sd, count)
        self.unhappy = beta(rng, crowd.unhappy, crowd.unhappy_icc, count)

    def within(self, begin_h: float, end_h: float) -> NDArray[np.int64]:
        """Return the numbers of those who are there at some time between two hours."""
        return np.flatnonzero((self.comes < end_h) & (self.goes > begin_h))

    def presence(self, who: NDArray[np.int64], edges_h: Floats) -> Floats:
        """Return for how many hours of each tick each of them is there: ticks by users."""
        begin, end = edges_h[:-1, None], edges_h[1:, None]
        return np.maximum(0.0, np.minimum(end, self.goes[who]) - np.maximum(begin, self.comes[who]))


def step_ticks(
    rng: np.random.Generator, crowd: Crowd, people: People, frozen: FrozenStep, begin_h: float, *, per_look: int
) -> Iterator[Tick]:
    """Yield what is known at each tick of a step of an equal candidate, `per_look` ticks to each scheduled look."""
    dwell_h = (frozen.row.dwell_s or 0.0) / 3600.0
    who = people.within(begin_h, begin_h + 2 * dwell_h)
    is_candidate = people.bucket[who] < frozen.row.percent / 100
    who = np.concatenate([who[~is_candidate], who[is_candidate]])
    base = int((~is_candidate).sum())
    drawing = _Drawing(rng, crowd, people, frozen, who, base)
    for look in (0, 1):
        edges = begin_h + dwell_h * (look + np.arange(per_look + 1) / per_look)
        yield from drawing.ticks(people.presence(who, edges) * people.rate_h[who], edges, begin_h)


class _Drawing:
    """Running counts of one step, drawn on from look to look."""

    def __init__(
        self,
        rng: np.random.Generator,
        crowd: Crowd,
        people: People,
        frozen: FrozenStep,
        who: NDArray[np.int64],
        base: int,
    ) -> None:
        """Take what each user's requests are divided into: chances, the same at every tick."""
        self.rng, self.base = rng, base
        self.parts: dict[str, tuple[Floats, ...]] = {"errors": (people.failing[who],)}
        for check, effects in (("p50", people.slowness), ("p99", people.slowness), ("ttft", people.lateness)):
            quantile = 0.99 if check == "p99" else 0.5
            week = effects[rng.choice(len(effects), _REFERENCE_REQUESTS, p=people.rate_h / people.rate_h.sum())]
            threshold = np.quantile(week + rng.normal(0.0, crowd.request_sd, len(week)), quantile)
            beyond = threshold + math.log(frozen.margins[check].ratio)
            chances = [normal_tail((limit - effects[who]) / crowd.request_sd) for limit in (threshold, beyond)]
            self.parts[check] = tuple(chances)
        self.parts["satisfaction"] = (people.unhappy[who],)
        self.parts["feedback"] = (np.full(len(who), crowd.rated),)
        self.shares = {"ttft": crowd.streamed, "satisfaction": crowd.rated}
        self.so_far: dict[str, Counts] = {}

    def ticks(self, rates: Floats, edges_h: Floats, begin_h: float) -> Iterator[Tick]:
        """Draw on, and yield what is known at the end of each tick."""
        first = len(self.so_far["errors"].n) if self.so_far else 0
        for name in self.parts:
            self._draw(name, rates)
        known = {name: check_sums(counts) for name, counts in self.so_far.items()}
        feedback, tick_h = known.pop("feedback"), float(edges_h[1] - edges_h[0])
        day_ticks = max(1, round(DAY_H / tick_h))
        drifts = {name: drift(self.so_far[name], caps(self.so_far[name]), day_ticks) for name in known}
        for row, end_h in enumerate(edges_h[1:], start=first):
            yield Tick(
                hour=float(end_h - begin_h),
                checks=_named({name: sums[row] for name, sums in known.items()}),
                drift=_named({name: each[row] for name, each in drifts.items()}),
                failing=(self._failing(row, tick_h),),
                feedback=feedback[row],
                users=self._users(row),
            )

    def _draw(self, name: str, rates: Floats) -> None:
        asked = rates * self.shares.get(name, 1.0)
        chances = self.parts[name]
        y = self.rng.poisson(asked * chances[1]) if len(chances) > 1 else None
        x = self.rng.poisson(asked * (chances[0] - (chances[1] if y is not None else 0.0))) + (0 if y is None else y)
        n = x + self.rng.poisson(asked * (1.0 - chances[0]))
        before = self.so_far.get(name)
        self.so_far[name] = Counts(
            n=_grown(n, before and before.n),
            x=_grown(x, before and before.x),
            y=None if y is None else _grown(y, before and before.y),
            base=self.base,
        )

    def _failing(self, row: int, tick_h: float) -> FailingUsers:
        errors = self.so_far["errors"].x
        new = errors[row] - (errors[row - 1] if row else 0.0)
        in_last_hour = self.rng.binomial(new.astype(np.int64), min(1.0, 1.0 / tick_h)) > 0
        base, candidate = self._per_arm(errors[row] > 0)
        hour_base, hour_candidate = self._per_arm(in_last_hour)
        return FailingUsers(
            kind="failure", base=base, candidate=candidate, hour_base=hour_base, hour_candidate=hour_candidate
        )

    def _users(self, row: int) -> tuple[int, int]:
        return self._per_arm(self.so_far["errors"].n[row] > 0)

    def _per_arm(self, flags: NDArray[np.bool_]) -> tuple[int, int]:
        return int(flags[: self.base].sum()), int(flags[self.base :].sum())


def _grown(new: NDArray[np.int64], before: Floats | None) -> Floats:
    total = np.cumsum(new, axis=0, dtype=np.float64)
    return total if before is None else np.concatenate([before, total + before[-1]])


def _named(figures: Mapping[str, Figure]) -> Mapping[Check, Figure]:
    return cast("Mapping[Check, Figure]", figures)
