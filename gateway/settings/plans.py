"""From `[rollouts.NAME.plan]` to the plan that a rollout follows, and what is wrong with it. Pure.

What a plan must be is `rollout/plan.py`'s to say; this says where it stands in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import asdict, replace

from analytics.evidence import CHECKS, Check
from gateway.settings.plan_schema import FreezeDefinition, PlanDefinition, StepDefinition
from gateway.settings.problem import Keys, Problem, error_at, shown, warning_at
from gateway.settings.schema import RolloutDefinition
from rollout.durations import BadDurationError, parse_duration
from rollout.phase import Margin, Plan, Row
from rollout.plan import CERTIFICATE, DEFAULT_MARGINS, DEFAULT_PLAN, plan_faults
from rollout.schedule import BadTimeError, FreezeWindow, is_weekly, parse_moment, parse_weekly

_FEW_USERS = 30
"""With fewer users a check can never fail, and a pass says little."""


def plan_of(rollout: RolloutDefinition) -> Plan:
    """Return the plan of a rollout that was checked.

    Raises:
        ValueError: a time in it cannot be read; `plan_problems` says which.
    """
    own = rollout.plan
    return Plan(
        rows=(CERTIFICATE, *map(_row, own.steps)) if own.steps else DEFAULT_PLAN.rows,
        margins={check: _margin(own, check) for check in CHECKS},
        approval=own.approval,
        certified=rollout.evidence,
        safety_users=own.safety_users,
        safety_requests=own.safety_requests,
        start_at=None if own.start_at is None else parse_moment(own.start_at),
        freezes=tuple(map(_window, own.freeze)),
    )


def plan_problems(name: str, rollout: RolloutDefinition) -> Iterator[Problem]:
    """Yield what is wrong with a rollout's plan: first what cannot be read, and if there is nothing, what cannot be."""
    place: Keys = ("rollouts", name, "plan")
    unread = [*_unread(place, rollout.plan), *_strict(place, rollout.plan)]
    yield from unread
    if not unread:
        yield from (error_at((*place, *fault.place), fault.message) for fault in plan_faults(plan_of(rollout)))
        yield from _thin(place, rollout.plan)


def _row(step: StepDefinition) -> Row:
    return Row(
        phase=step.phase,
        percent=step.percent,
        dwell_s=None if step.dwell is None else parse_duration(step.dwell),
        gate=step.gate or step.phase,
        checks=step.checks,
    )


def _margin(own: PlanDefinition, check: Check) -> Margin:
    written = {key: value for key, value in asdict(getattr(own.margins, check)).items() if value is not None}
    margin = replace(DEFAULT_MARGINS[check], **written)
    return replace(margin, relative=0.0, absolute=0.0) if own.strict and check == "satisfaction" else margin


def _window(one: FreezeDefinition) -> FreezeWindow:
    weekly = is_weekly(one.start)
    parse = parse_weekly if weekly else parse_moment
    return FreezeWindow(start=parse(one.start), end=parse(one.end), weekly=weekly)


def _unread(place: Keys, own: PlanDefinition) -> Iterator[Problem]:
    for at, step in enumerate(own.steps):
        if step.dwell is not None:
            yield from _reading((*place, "steps", at, "dwell"), step.dwell, parse_duration)
    if own.start_at is not None:
        yield from _reading((*place, "start_at"), own.start_at, parse_moment)
    for at, window in enumerate(own.freeze):
        yield from _freeze((*place, "freeze", at), window)


def _freeze(place: Keys, one: FreezeDefinition) -> Iterator[Problem]:
    if is_weekly(one.start) != is_weekly(one.end):
        message = 'mixes a moment and a time of the week; write two moments, or two such as "fri 16:00" and "mon 08:00"'
        yield error_at(place, message)
        return
    parse = parse_weekly if is_weekly(one.start) else parse_moment
    unread = [*_reading((*place, "start"), one.start, parse), *_reading((*place, "end"), one.end, parse)]
    yield from unread
    if not unread and not is_weekly(one.start) and parse_moment(one.end) <= parse_moment(one.start):
        yield error_at((*place, "end"), f"{shown(one.end)} is not later than the start; write a later moment")


def _reading(place: Keys, text: str, parse: Callable[[str], float]) -> Iterator[Problem]:
    try:
        parse(text)
    except (BadDurationError, BadTimeError) as error:
        yield error_at(place, f"{shown(text)} {error}")


def _strict(place: Keys, own: PlanDefinition) -> Iterator[Problem]:
    tolerated = own.margins.satisfaction
    if own.strict and (tolerated.relative or tolerated.absolute):
        message = "is true, which leaves satisfaction no margin, but margins.satisfaction has one; take one of them out"
        yield error_at((*place, "strict"), message)


def _thin(place: Keys, own: PlanDefinition) -> Iterator[Problem]:
    for check in CHECKS:
        users: int | None = getattr(own.margins, check).min_users
        if users is not None and users < _FEW_USERS:
            message = (
                f"{users} users prove little, and with fewer than {_FEW_USERS} nothing but a sudden outage is noticed; "
                "write more, but in a demonstration"
            )
            yield warning_at((*place, "margins", check, "min_users"), message)
