"""Watching when nobody is left with base: each hour against base's same hour of the week, as it was before. Pure.

The law: a frozen reference cannot tell a change of the world from a worse candidate, so an alarm tells people and moves
nothing. Every hour counts once, in its order; one that base had not, or in which hardly anybody asked, is no
observation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from analytics.baseline import Baseline, Clock, Frozen, Span
from analytics.detector import DAYS_APART, HOURS_APART, Detector, score, watch
from analytics.evidence import LATENCY, ArmSums, Check
from analytics.sequential import tolerated
from rollout.durations import DAY_S, HOUR_S, spoken
from rollout.phase import FrozenStep, Margin, pace
from rollout.phrases import counted, levels, rates
from rollout.verdict import Figures

_US = 1_000_000
_LATE_US = 15 * 60 * _US
_LEAST_LATE_US = 5 * _US
MOST_HOURS, MOST_DAYS = 168, 7
"""So many hours (days) that are over are observed at once; the others at the next tick."""
ALARMS_KEPT = 5


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One check that has become worse than base was, in words that people are told, with the numbers behind them.

    `at`: the end of the hour (day) by which it alarmed, µs since 1970 UTC.
    """

    check: Check
    at: int
    words: str
    figures: Figures = {}


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """One check: its detector, the last slot that is over (its number since 1970), and how many were observed.

    `words` and `figures` are of the last one observed.
    """

    over: int
    detector: Detector = Detector()
    observed: int = 0
    words: str = ""
    figures: Figures = {}


class Vigil(msgspec.Struct, frozen=True, kw_only=True):
    """The watch of a rollout at 100 %, as the ledger keeps it beside the step; base of `since` to `until` is frozen.

    `digest`: the sha256 of the frozen base, empty before there is one; `is_told` whether the audit has it. `news` are
    alarms that the audit has not, `alarms` the last few that it has. `trouble`: why nothing could be looked at.
    """

    since: int
    until: int
    clock: Clock
    digest: str = ""
    requests: int = 0
    users: int = 0
    is_told: bool = False
    watched: Mapping[Check, Watched] = {}
    alarms: tuple[Alarm, ...] = ()
    news: tuple[Alarm, ...] = ()
    trouble: str = ""


def clock_of(before: FrozenStep) -> Clock:
    """Return what an hour, a day and a week are for a watch behind a step: the calendar's, if its hour is an hour.

    Behind a shorter step (a demonstration's) an hour is a 48th of the dwell, a day a quarter, a week seven of these.
    """
    stretches = pace(before.row)
    if stretches.hour_s >= HOUR_S:
        return Clock(hour_us=int(HOUR_S) * _US)
    hours = round(stretches.day_s / stretches.hour_s)
    return Clock(hour_us=max(1, round(stretches.hour_s * _US)), hours_per_day=hours, hours_per_week=7 * hours)


def vigil_of(before: FrozenStep | None, step: FrozenStep) -> Vigil:
    """Return the watch that begins with a step at 100 %: base of the step before is frozen, and of a week at least."""
    clock = clock_of(before if before is not None else step)
    since = step.started_at - clock.hours_per_week * clock.hour_us
    earliest = since if before is None else min(since, before.started_at)
    return Vigil(since=max(0, earliest), until=step.started_at, clock=clock)


def settled_at(clock: Clock, at: int) -> int:
    """Return up to when every request has come that began before a moment: µs since 1970 UTC. The slowest take long."""
    return at + min(_LATE_US, max(_LEAST_LATE_US, clock.hour_us // 4))


def frozen(vigil: Vigil, baseline: Baseline, digest: str, asked: Collection[Check]) -> Vigil:
    """Return the watch with base as it was, of the checks that the row asks for, where base has any of them.

    The slot in which everybody became a candidate is nobody's.
    """
    watched = {
        check: Watched(over=vigil.clock.ended(vigil.until, by_day=one.by_day) + 1)
        for check, one in baseline.checks.items()
        if check in asked
    }
    known = {**watched, **{check: one for check, one in vigil.watched.items() if check in watched}}
    return replace(vigil, digest=digest, requests=baseline.requests, users=baseline.users, watched=known)


def due(vigil: Vigil, baseline: Baseline, as_of: int) -> Mapping[Check, range]:
    """Return the slots of each check that are over and whole, `as_of` (µs) being up to when everything has come."""
    found: dict[Check, range] = {}
    behind = settled_at(vigil.clock, 0)
    for check, watched in vigil.watched.items():
        by_day = baseline.checks[check].by_day
        first, last = watched.over + 1, vigil.clock.ended(as_of - behind, by_day=by_day)
        if first <= last:
            found[check] = range(first, min(last + 1, first + (MOST_DAYS if by_day else MOST_HOURS)))
    return found


def span_of(
    vigil: Vigil, baseline: Baseline, slots: Mapping[Check, range], margins: Mapping[Check, Margin]
) -> tuple[Span, Mapping[Check, Frozen]]:
    """Return whose requests of which time these slots are, and the checks of base that they are compared with."""
    checks: dict[Check, Frozen] = {check: baseline.checks[check] for check in slots}
    lengths = {check: vigil.clock.hour_us * vigil.clock.hours(by_day=one.by_day) for check, one in checks.items()}
    span = replace(
        baseline.span,
        arm="candidate",
        since=min(lengths[check] * numbers.start for check, numbers in slots.items()),
        until=max(lengths[check] * numbers.stop for check, numbers in slots.items()),
        thresholds={check: (q0, margins[check].ratio * q0) for check, q0 in baseline.latencies.items()},
    )
    return span, checks


def observe(vigil: Vigil, baseline: Baseline, check: Check, slot: int, now: ArmSums | None, margin: Margin) -> Vigil:
    """Return the watch after one slot of one check: its number since 1970, and its sums (None: nobody asked).

    `now` has y at the margin's ratio for latency. A slot that is over changes nothing.
    """
    watched, base = vigil.watched[check], baseline.checks[check]
    if slot <= watched.over:
        return vigil
    before = base.slots.get(slot % vigil.clock.cycle(by_day=base.by_day))
    z = None if before is None or now is None else _score(check, before, now, margin)
    after, news = replace(watched, over=slot), vigil.news
    if z is not None and before is not None and now is not None:
        needed = DAYS_APART if base.by_day else HOURS_APART
        detector, is_alarm = watch(watched.detector, z, threshold=needed)
        length_us = vigil.clock.hour_us * vigil.clock.hours(by_day=base.by_day)
        at, words = (slot + 1) * length_us, _words(check, before, now, margin, length_us / _US)
        reached = {"z": z, "level": detector.level, "level_needed": needed, "slot_ended_at": at}
        figures = {**_figures(before, now), **reached}
        after = replace(after, detector=detector, observed=watched.observed + 1, words=words, figures=figures)
        if is_alarm and _is_news(vigil, check, at):
            news = (*news, Alarm(check=check, at=at, words=f"{check} against base as it was: {words}", figures=figures))
    return replace(vigil, watched={**vigil.watched, check: after}, news=news)


def _is_news(vigil: Vigil, check: Check, at: int) -> bool:
    """Tell whether an alarm is told: of each check one a day, for what has become worse goes on alarming."""
    day_us = vigil.clock.hour_us * vigil.clock.hours_per_day
    return all(at - one.at >= day_us for one in (*vigil.alarms, *vigil.news) if one.check == check)


def told(vigil: Vigil) -> Vigil:
    """Return the watch once the audit has all that is new."""
    return replace(vigil, is_told=True, alarms=(*vigil.alarms, *vigil.news)[-ALARMS_KEPT:], news=())


def _score(check: Check, before: ArmSums, now: ArmSums, margin: Margin) -> float | None:
    if check in LATENCY:
        return score(before, now)
    return score(before, now, relative=margin.relative, absolute=margin.absolute)


def _figures(before: ArmSums, now: ArmSums) -> dict[str, float | int | None]:
    return {
        "users_base": before.x.users,
        "users_candidate": now.x.users,
        "requests_base": before.requests,
        "requests_candidate": now.requests,
        "weighted_base": before.x.ratio,
        "weighted_candidate": now.x.ratio,
        "weighted_candidate_beyond_ratio": now.y.ratio if now.y is not None else None,
    }


def _words(check: Check, before: ArmSums, now: ArmSums, margin: Margin, length_s: float) -> str:
    then, present = before.x.ratio or 0.0, now.x.ratio or 0.0
    target = tolerated(then, relative=margin.relative, absolute=margin.absolute)
    one: Literal["rating", "request"] = "rating" if check == "satisfaction" else "request"
    within = f"the hour of {spoken(length_s)}" if length_s < HOUR_S else "a day" if length_s >= DAY_S else "an hour"
    seen = f"{counted(now.requests, one)} of {counted(now.x.users, 'user')} in {within}"
    if check in LATENCY:
        slow, due_share = rates((now.y or now.x).ratio or 0.0, then)
        found = f"{slow} of requests exceed {margin.ratio:.2f} times base's {check}, {due_share} tolerated"
    elif check == "satisfaction":
        score_now, score_then, least = levels(1 - present, 1 - then, 1 - target)
        found = f"score {score_now}, base's was {score_then}, at least {least} within the margin"
    else:
        rate_now, rate_then, most = rates(present, then, target)
        found = f"{rate_now}, base had {rate_then}, margin {most}"
    return f"{found}; {seen}"
