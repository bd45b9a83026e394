"""A gate's word in plain language: five answers for whoever runs a rollout, whatever it says. Pure.

The law: no word of statistics; each answer is whole by itself, and the last one names what a person can really do now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from rollout.lacking import lacking, plain, unwatched
from rollout.outlook import Condition, Position, ahead, may_do, when
from rollout.phrases import listed
from rollout.verdict import CheckReport, GateReport, Verdict

__all__ = ["Condition", "Explanation", "Position", "explain"]

_BEFORE: frozenset[Condition] = frozenset({"idle", "scheduled"})
_WATCHED = "None is waited for: the candidate is watched"
_ODDS = re.compile(r": odds [^.]*")


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Five answers: what is not there yet, what is missing, when it is decided, what happens then, what one may do."""

    not_there_yet: str
    missing: str
    next_decision: str
    then: str
    may_do: str


def explain(report: GateReport | None, position: Position) -> Explanation:
    """Return the five answers; `report`: the gate's last word on this step, None before there is one."""
    return Explanation(
        not_there_yet=_sentence(_not_there_yet(report, position)),
        missing=" ".join(_sentence(words) for words in _missing(report, position)),
        next_decision=_sentence(when(report, position)),
        then=_sentence(ahead(report, position)),
        may_do=_sentence(may_do(report, position)),
    )


def _not_there_yet(report: GateReport | None, position: Position) -> str:
    if position.condition in _BEFORE:
        return "The rollout has not started, so nothing is judged yet"
    if report is None:
        return _WATCHED if position.condition == "at_ga" else "The step has just begun, so nothing is judged yet"
    if report.gate == "ga" and report.verdict == "collecting":
        is_blind = report.checks and len(unwatched(report)) == len(report.checks)
        return "None is waited for, and none can be watched: of base there was too little" if is_blind else _WATCHED
    waiting = [plain(check.check) for check in _asked(report) if check.verdict != "pass"]
    worse = [plain(check.check) for check in report.checks if check.verdict == "fail"]
    said: Mapping[Verdict, str] = {
        "hold": "None can be judged: what was measured cannot be trusted at the moment",
        "fail": f"It is decided, by {listed(worse)}: the candidate is worse than allowed" if worse else "It is decided",
        "pass": "Nothing went wrong, and this step asks for no more" if report.is_safety_only else "All are there",
    }
    if report.verdict not in said and report.safety:
        return "None is waited for: this step goes on when nothing went wrong among enough requests and users"
    return said.get(report.verdict) or (f"Not there yet: {listed(waiting)}" if waiting else "All checks are there")


def _missing(report: GateReport | None, position: Position) -> list[str]:
    """Return what is missing, a sentence each: first of what is seen, then of what a person or the plan has to do."""
    if position.condition in _BEFORE:
        return ["The start"]
    if position.condition == "rolled_back" or (report is not None and report.verdict == "fail"):
        return ["Nothing"]
    return [*_unseen(report, position), *_awaited(position)] or ["Nothing"]


def _unseen(report: GateReport | None, position: Position) -> list[str]:
    """Return what of a step is not seen yet, or not as it should be."""
    if report is None:
        return [] if position.condition == "at_ga" else ["Requests of users"]
    if report.verdict == "hold":
        return [_plain_hold(words) for words in report.holds or (report.summary,)]
    if report.verdict == "pass":
        return []
    if position.condition == "by_hand" and not report.alarms:
        return ["Nothing: the percent was set by hand, so nothing is waited for"]
    return lacking(report)


def _awaited(position: Position) -> list[str]:
    """Return what is waited for that no request brings: an approval, the end of a freeze window, or of a pause."""
    waits: Mapping[Condition, str] = {
        "awaiting_approval": "An approval: the step has passed",
        "awaiting_thaw": "The end of the freeze window: the step has passed",
    }
    before = position.paused_from if position.condition == "paused" else position.condition
    resumed = ["Somebody who resumes the rollout, which is paused"] if position.condition == "paused" else []
    return [*resumed, *([waits[before]] if before in waits else [])]


def _asked(report: GateReport) -> list[CheckReport]:
    return [check for check in report.checks if check.applies]


def _plain_hold(words: str) -> str:
    return _ODDS.sub("", words).removesuffix(". Nothing is concluded")


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}" + ("" if words.endswith(".") else ".")
