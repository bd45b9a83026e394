"""What comes next in a rollout and what a person may do about it, in plain language. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from rollout.durations import spoken
from rollout.phase import Plan
from rollout.verdict import GateReport, Verdict

Condition = Literal[
    "idle",
    "scheduled",
    "running",
    "inconclusive",
    "paused",
    "awaiting_approval",
    "awaiting_thaw",
    "by_hand",
    "rolled_back",
    "at_ga",
]
"""Where a rollout stands, beside what its gate says. `awaiting_thaw`: it passed, within a freeze window."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a rollout is in its plan. `row_number` counts from 0, None before its start.

    `next_look_s`: running time, in seconds, until the next scheduled look; None if there is none. `wait_s`: until a
    scheduled start or the end of a freeze window, None if nothing is waited for. `paused_from`: how it stood before a
    pause.
    """

    plan: Plan
    condition: Condition
    percent: float = 0.0
    row_number: int | None = None
    next_look_s: float | None = None
    wait_s: float | None = None
    paused_from: Condition | None = None


_AT_REST: frozenset[Condition] = frozenset({"idle", "scheduled", "rolled_back"})
"""Where no step runs, so that the last one's verdict is past."""

_BACK = "If the candidate turns out worse than allowed, it is taken back to 0 % at once, whatever the time"
_AGAINST = "roll back, or advance against the gate's word, with a reason for the audit"
_OF_STANDING: Mapping[Condition, tuple[str, str, str]] = {
    "idle": (
        "None, until the rollout is started",
        "The first step gives the candidate its first users",
        "Start the rollout, or set a percent by hand",
    ),
    "rolled_back": (
        "None: the rollout has ended",
        "Everybody stays with base until somebody starts anew",
        "Find out what went wrong, then start the rollout again, or change the candidate",
    ),
    "awaiting_approval": (
        "As soon as somebody approves",
        "{next}",
        "Approve it (advance), pause, or roll back",
    ),
    "awaiting_thaw": (
        "At the end of the freeze window{wait}",
        "{next}",
        "Wait, pause, or roll back; nothing advances before",
    ),
    "scheduled": (
        "At the start{wait}",
        "The first step gives the candidate its first users",
        "Wait, start at once, or take the start back (roll back)",
    ),
    "paused": (
        "After somebody resumes; time in a pause does not count",
        "The step goes on where it was. " + _BACK,
        "Resume, or roll back",
    ),
    "by_hand": (
        "None: the percent was set by hand, so nothing advances by itself",
        _BACK,
        "Set another percent, go on with the plan (resume, advance or start), or roll back",
    ),
    "at_ga": (
        "None: the rollout has reached everybody it is meant for, and is watched without end",
        "{ga}",
        "Leave it, make the candidate the new base in turnout.toml, or roll back",
    ),
}
"""Of each standing that decides by itself: when the next decision comes, what happens then, what a person may do."""


_OF_VERDICT: Mapping[Verdict, tuple[str, str, str]] = {
    "fail": (
        "Now: nothing more has to be seen",
        "The candidate is taken back to 0 %, and the people on call are told",
        "Nothing has to be done for the users; find out what went wrong",
    ),
    "hold": (
        "Not before the measurements can be trusted again; until then the clock stands still",
        "The percent stays at {percent} % until then; after a day like this the people on call are told",
        "Mend the cause. Where what was seen in this step is spoilt for good, start the step anew; or roll back",
    ),
    "pass": (
        "Now: everything that this step asks for is there",
        "{next}",
        "Wait, pause, or roll back",
    ),
    "collecting": (
        "In {look} of running time; pauses and holds do not count",
        "{if_so}, {next}. If there is no answer after twice the step's time, a person is asked. " + _BACK,
        "Wait, pause, or roll back; advancing before that needs a reason, which the audit keeps",
    ),
    "inconclusive": (
        "When a person decides; by itself the candidate only goes back",
        "The percent stays at {percent} %. " + _BACK,
        "Start the step anew to see more, " + _AGAINST,
    ),
}
"""The same for each verdict of a step that runs."""

_ANEW = "Where what was seen in this step is spoilt for good, start the step anew; or roll back"
_HELD_TOO: Mapping[Condition, tuple[str, str, str]] = {
    "awaiting_approval": (
        "When the measurements can be trusted again and somebody approves",
        "{next}. Until then the percent stays at {percent} %; after a day like this the people on call are told",
        "Mend the cause, then approve it (advance). An approval before that goes against the gate's word and needs a "
        "reason, which the audit keeps. " + _ANEW,
    ),
    "awaiting_thaw": (
        "When the measurements can be trusted again and the freeze window is over{wait}",
        "{next}. Until then the percent stays at {percent} %; after a day like this the people on call are told",
        "Mend the cause; nothing advances before the freeze window ends. " + _ANEW,
    ),
    "paused": (
        "When the measurements can be trusted again and somebody has resumed; until then the clock stands still",
        "The percent stays at {percent} % until then; after a day like this the people on call are told",
        "Mend the cause, and resume. " + _ANEW,
    ),
    "by_hand": (
        "None: the percent was set by hand, so nothing advances by itself",
        "The percent stays at {percent} %. Once the measurements can be trusted again, the candidate is watched on",
        "Mend the cause. Then set another percent, go on with the plan (resume, advance or start), or roll back",
    ),
    "inconclusive": (
        "When a person decides, better once the measurements can be trusted again",
        "The percent stays at {percent} %; after a day like this the people on call are told",
        "Mend the cause. Then start the step anew to see more, " + _AGAINST,
    ),
}
"""The same while the gate holds what does not run."""


def when(report: GateReport | None, position: Position) -> str:
    """Return when the next decision comes."""
    return _filled(_answers(report, position)[0], position)


def ahead(report: GateReport | None, position: Position) -> str:
    """Return what happens at the next decision."""
    return _filled(_answers(report, position)[1], position)


def may_do(report: GateReport | None, position: Position) -> str:
    """Return what a person may do now."""
    return _filled(_answers(report, position)[2], position)


def onward(position: Position) -> str:
    """Return what a pass of the present step leads to."""
    rows, number = position.plan.rows, position.row_number
    if number is None or number + 1 >= len(rows):
        return "nothing changes: this is the last step"
    here, following = rows[number], rows[number + 1]
    moved = f"the candidate goes from {position.percent:g} % to {following.percent:g} % of users"
    if here.phase != following.phase and position.plan.approval == "one":
        return f"{moved}, once somebody has approved it"
    return moved


def _answers(report: GateReport | None, position: Position) -> tuple[str, str, str]:
    """Return the answers of a standing, unless what the gate says comes first: a hold, or a failure about to act."""
    found = _OF_STANDING.get(position.condition)
    verdict: Verdict = "collecting" if report is None else report.verdict
    if found is not None and (position.condition in _AT_REST or verdict not in {"fail", "hold"}):
        return found
    if verdict == "hold" and position.condition in _HELD_TOO:
        return _HELD_TOO[position.condition]
    if verdict == "collecting" and position.next_look_s is None:
        verdict = "inconclusive"
    return _OF_VERDICT[verdict]


def _filled(words: str, position: Position) -> str:
    return words.format(
        wait="" if position.wait_s is None else f", in {spoken(position.wait_s)}",
        look="" if position.next_look_s is None else spoken(position.next_look_s),
        percent=f"{position.percent:g}",
        next=onward(position),
        if_so=_if_so(position),
        ga=_at_ga(position),
    )


def _if_so(position: Position) -> str:
    number = position.row_number
    if number is None or position.plan.is_proof(number):
        return "If everything is as good as allowed"
    return "If nothing is worse than allowed, with enough requests and users to tell"


def _at_ga(position: Position) -> str:
    if position.percent < 100:
        return f"{_BACK}; {100 - position.percent:g} % of users stay with base to compare with"
    return "If things get worse than they were with base, the people on call are told; nothing goes back by itself"
