"""A plan that an equal candidate likely comes through: the search behind `turnout rollout plan --suggest`. Pure.

Law: a plan is only made more patient. Its rows and phases stay, percents and dwells grow and never shrink, and margins
are widened last, and only those that stand in the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import msgspec

from analytics.evidence import LATENCY, Check
from analytics.forecast import LIKELY, LONGEST_DAYS, Ahead, Tolerance, Week, pass_reach
from analytics.prospect import PlanRow, plan_chances, row_chance

PERCENTS = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0)
DWELLS = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 21.0, LONGEST_DAYS)
"""What is proposed, in days; a plan's own values are kept beside these."""

PATIENCE = ((14.0, 2.0), (LONGEST_DAYS, 4.0))
"""Longest dwell in days, and by how much margins may be widened: first without a second look after two months."""

RESERVE = 0.25
"""A quarter of what is missing to certainty is aimed at beyond what is wanted: forecasts are of smooth traffic."""

NOTCH = 1.1
"""A margin is widened by a tenth at a time."""

_DAYS_OF_A_PERCENT = 0.2
"""Five more percent of all users are as dear as a day."""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with the chance (0-1) that an equal candidate reaches GA by it, and each row's.

    `is_reached`: the chance is as wanted; else no plan within reach is likelier. `widened`: which margins are not those
    that were given.
    """

    rows: tuple[PlanRow, ...]
    tolerances: Mapping[Check, Tolerance]
    chance: float
    chances: tuple[float, ...]
    is_reached: bool
    widened: tuple[Check, ...] = ()


class _Choice(msgspec.Struct, frozen=True):
    cost: float
    chance: float
    rows: tuple[PlanRow, ...]


def suggest(
    rows: Sequence[PlanRow],
    weeks: Mapping[Check, Week],
    tolerances: Mapping[Check, Tolerance],
    *,
    wanted: float = LIKELY,
) -> Suggestion | None:
    """Return the cheapest plan by which an equal candidate reaches GA with the chance that is `wanted` (0-1).

    `rows` are those between the certificate and GA, with ascending percents. None while the chance is unknown.
    """
    if plan_chances(rows, weeks, tolerances) is None:
        return None
    widened, generous = dict(tolerances), list(rows)
    for (longest_days, widest), aim in product(PATIENCE, (wanted + RESERVE * (1 - wanted), wanted)):
        generous = [_most_generous(row, nearest, longest_days) for row, nearest in _with_bounds(rows)]
        widened = _widen(generous, weeks, tolerances, wanted=aim, widest=widest)
        for choice in _frontier(rows, weeks, widened, longest_days):
            if choice.chance >= aim:
                return _suggestion(choice.rows, weeks, tolerances, widened, wanted)
    return _suggestion(generous, weeks, tolerances, widened, wanted)


def _suggestion(
    rows: Sequence[PlanRow],
    weeks: Mapping[Check, Week],
    given: Mapping[Check, Tolerance],
    widened: Mapping[Check, Tolerance],
    wanted: float,
) -> Suggestion:
    chances = plan_chances(rows, weeks, widened) or ()
    return Suggestion(
        rows=tuple(rows),
        tolerances=widened,
        chance=math.prod(chances),
        chances=chances,
        is_reached=math.prod(chances) >= wanted,
        widened=tuple(check for check in given if widened[check] != given[check]),
    )


def _with_bounds(rows: Sequence[PlanRow]) -> Iterable[tuple[PlanRow, float]]:
    """Yield each row and the percent up to which it may grow: the next row's, or a half."""
    following = [row.percent for row in rows[1:]] + [PERCENTS[-1]]
    for row, bound in zip(rows, following, strict=True):
        yield row, max(row.percent, bound)


def _most_generous(row: PlanRow, bound: float, longest_days: float) -> PlanRow:
    return msgspec.structs.replace(row, percent=bound, days=max(row.days, longest_days))


def _widen(
    rows: Sequence[PlanRow],
    weeks: Mapping[Check, Week],
    tolerances: Mapping[Check, Tolerance],
    *,
    wanted: float,
    widest: float,
) -> dict[Check, Tolerance]:
    """Return the tolerances with which these rows reach what is wanted, or the widest; the farthest off gives way."""
    notches: dict[Check, int] = dict.fromkeys(tolerances, 0)
    most = round(math.log(widest) / math.log(NOTCH))
    widened = dict(tolerances)
    while math.prod(plan_chances(rows, weeks, widened) or ()) < wanted:
        narrow: list[Check] = [check for check in _in_the_way(rows, weeks, widened) if notches[check] < most]
        if not narrow:
            break
        check: Check = narrow[0]
        notches[check] += 1
        widened[check] = widen(tolerances[check], NOTCH ** notches[check], is_latency=check in LATENCY)
    return widened


def _in_the_way(
    rows: Sequence[PlanRow], weeks: Mapping[Check, Week], tolerances: Mapping[Check, Tolerance]
) -> list[Check]:
    """Return the checks whose margin can be widened, those first that are farthest from a pass at a second look."""
    reaches: dict[Check, float] = {}
    for row in rows:
        for check in row.checks:
            ahead = Ahead(week=weeks[check], tolerance=tolerances[check])
            reach = pass_reach(ahead, row.percent / 100, 2 * row.days)
            if reach > -math.inf and ahead.slack > 0:
                reaches[check] = min(reach, reaches.get(check, math.inf))
    return sorted(reaches, key=lambda check: reaches[check])


def widen(tolerance: Tolerance, factor: float, *, is_latency: bool) -> Tolerance:
    """Return a tolerance whose margin is so many times as wide, in round figures."""
    if is_latency:
        return msgspec.structs.replace(tolerance, ratio=round(1 + (tolerance.ratio - 1) * factor, 2))
    return msgspec.structs.replace(
        tolerance, relative=round(tolerance.relative * factor, 2), absolute=round(tolerance.absolute * factor, 4)
    )


def _frontier(
    rows: Sequence[PlanRow],
    weeks: Mapping[Check, Week],
    tolerances: Mapping[Check, Tolerance],
    longest_days: float,
) -> list[_Choice]:
    """Return the plans of which none is both cheaper and likelier, cheapest first. Rows are joined one by one."""
    best = [_Choice(0.0, 1.0, ())]
    for row, bound in _with_bounds(rows):
        choices = [
            _Choice(
                one.days - row.days + (one.percent - row.percent) * _DAYS_OF_A_PERCENT,
                row_chance(one, weeks, tolerances),
                (one,),
            )
            for one in _options(row, bound, longest_days)
        ]
        joined = [
            _Choice(so_far.cost + one.cost, so_far.chance * one.chance, so_far.rows + one.rows)
            for so_far in best
            for one in _undominated(choices)
        ]
        best = _undominated(joined)
    return best


def _options(row: PlanRow, bound: float, longest_days: float) -> Iterable[PlanRow]:
    percents = sorted({row.percent, bound, *(percent for percent in PERCENTS if row.percent < percent <= bound)})
    dwells = sorted({row.days, *(days for days in DWELLS if row.days < days <= longest_days)})
    for percent in percents:
        for days in dwells:
            yield msgspec.structs.replace(row, percent=percent, days=days)


def _undominated(choices: Iterable[_Choice]) -> list[_Choice]:
    kept: list[_Choice] = []
    for choice in sorted(choices, key=lambda each: (each.cost, -each.chance)):
        if not kept or choice.chance > kept[-1].chance:
            kept.append(choice)
    return kept
