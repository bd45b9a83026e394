"""Watching when nobody is left with base: each hour against base's same hour of the week, as it was before. Pure.

The law: a frozen reference cannot tell a change of the world from a worse candidate, so an alarm tells people and moves
nothing. An hour that the reference has not, or in which hardly anybody asked, is no observation.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from analytics.detector import DAYS_APART, HOURS_APART, Detector, score, watch
from analytics.evidence import LATENCY, ArmSums, Check
from analytics.sequential import tolerated
from rollout.phase import Margin
from rollout.phrases import counted, levels, rates

_HOUR_US = 3_600_000_000
_DAY_HOURS = 24
_WEEK_HOURS = 7 * 24
_MONDAY_HOURS = 4 * 24
"""The first Monday of 1970, in hours since its first moment."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Base as it was in the last beta row, frozen once.

    By check, the sums of each slot: of 168 hours of the week, Monday 00:00 UTC first, each pooled with both its
    neighbours; or, `by_day` where hours have too few users, of 7 days.
    """

    slots: Mapping[Check, Mapping[int, ArmSums]]
    by_day: bool = False


class Vigil(msgspec.Struct, frozen=True, kw_only=True):
    """What is carried from hour to hour: a detector for each check, and the slot since 1970 that was observed last."""

    detectors: Mapping[Check, Detector] = {}
    observed: int = -1


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One check that has become worse than base was, in words that people are told."""

    check: Check
    words: str


def ended_slot(reference: Reference, at: int) -> int:
    """Return the number, counted since 1970, of the last hour (or day) that is over at a moment (µs since 1970 UTC)."""
    hours = at // _HOUR_US
    return (hours // _DAY_HOURS if reference.by_day else hours) - 1


def slot_of_week(reference: Reference, slot: int) -> int:
    """Return which hour (0-167) or day (0-6) of the week a slot counted since 1970 is, Monday's first being 0."""
    if reference.by_day:
        return (slot - _MONDAY_HOURS // _DAY_HOURS) % 7
    return (slot - _MONDAY_HOURS) % _WEEK_HOURS


def observe(
    reference: Reference, vigil: Vigil, slot: int, now: Mapping[Check, ArmSums], margins: Mapping[Check, Margin]
) -> tuple[Vigil, tuple[Alarm, ...]]:
    """Return the vigil after one hour (or day), and what it alarms of; a slot that was observed changes nothing.

    `slot` as `ended_slot` counts; `now`: that slot's sums of everybody, with y at the margin's ratio for latency.
    """
    if slot <= vigil.observed:
        return vigil, ()
    detectors, alarms = dict(vigil.detectors), list[Alarm]()
    for check, sums in now.items():
        before = reference.slots.get(check, {}).get(slot_of_week(reference, slot))
        z = None if before is None else _score(check, before, sums, margins[check])
        if before is None or z is None:
            continue
        threshold = DAYS_APART if reference.by_day else HOURS_APART
        detectors[check], is_alarm = watch(detectors.get(check, Detector()), z, threshold=threshold)
        if is_alarm:
            alarms.append(Alarm(check=check, words=_words(check, before, sums, margins[check], reference)))
    return Vigil(detectors=detectors, observed=slot), tuple(alarms)


def _score(check: Check, before: ArmSums, now: ArmSums, margin: Margin) -> float | None:
    if check in LATENCY:
        return score(before, now)
    return score(before, now, relative=margin.relative, absolute=margin.absolute)


def _words(check: Check, before: ArmSums, now: ArmSums, margin: Margin, reference: Reference) -> str:
    then, present = before.x.ratio or 0.0, now.x.ratio or 0.0
    target = tolerated(then, relative=margin.relative, absolute=margin.absolute)
    unit = "day" if reference.by_day else "hour"
    seen = f"{counted(now.requests, 'request')} of {counted(now.x.users, 'user')} in the last {unit}"
    if check in LATENCY:
        slow, due = rates((now.y or now.x).ratio or 0.0, then)
        found = f"{slow} of requests exceed {margin.ratio:.2f} times base's {check}, {due} tolerated"
    elif check == "satisfaction":
        score_now, score_then, least = levels(1 - present, 1 - then, 1 - target)
        found = f"score {score_now}, base's was {score_then}, at least {least} within the margin"
    else:
        rate_now, rate_then, most = rates(present, then, target)
        found = f"{rate_now}, base had {rate_then}, margin {most}"
    return (
        f"{check} against base as it was: {found}; {seen}. The world may have changed instead: nothing is rolled back"
    )
