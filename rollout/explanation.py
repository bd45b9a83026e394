"""A gate's word in plain language: five answers for whoever runs a rollout, whatever it says. Pure.

The law: no word of statistics; each answer is whole by itself, and the last one names what a person can really do now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from rollout.outlook import Condition, Position, ahead, may_do, when
from rollout.phrases import counted, listed
from rollout.verdict import CheckReport, GateReport, Verdict

__all__ = ["Condition", "Explanation", "Position", "explain"]

_PLAIN: Mapping[str, str] = {
    "errors": "failed requests",
    "p50": "the usual answer time",
    "p99": "the slowest answers",
    "ttft": "the wait for the first word",
    "satisfaction": "users' ratings",
    "certificate": "the evaluation before traffic",
    "fast kill": "failing users",
}
_COUNTED: Mapping[str, str] = {"satisfaction": "rating", "ttft": "streamed request"}
_BEFORE: frozenset[Condition] = frozenset({"idle", "scheduled"})
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
        missing=_sentence(_missing(report, position)),
        next_decision=_sentence(when(report, position)),
        then=_sentence(ahead(report, position)),
        may_do=_sentence(may_do(report, position)),
    )


def _not_there_yet(report: GateReport | None, position: Position) -> str:
    if position.condition in _BEFORE:
        return "The rollout has not started, so nothing is judged yet"
    if report is None:
        return "The step has just begun, so nothing is judged yet"
    if report.gate == "ga" and report.verdict == "collecting":
        return "None is waited for: the candidate is watched"
    waiting = [_plain(check) for check in _asked(report) if check.verdict != "pass"]
    worse = [_plain(check) for check in report.checks if check.verdict == "fail"]
    said: Mapping[Verdict, str] = {
        "hold": "None can be judged: what was measured cannot be trusted at the moment",
        "fail": f"It is decided, by {listed(worse)}: the candidate is worse than allowed" if worse else "It is decided",
        "pass": "Nothing went wrong, and this step asks for no more" if report.is_safety_only else "All are there",
    }
    return said.get(report.verdict) or (f"Not there yet: {listed(waiting)}" if waiting else "All checks are there")


def _missing(report: GateReport | None, position: Position) -> str:
    if position.condition in _BEFORE:
        return "The start"
    if report is None:
        return "Requests of users"
    if report.verdict == "hold":
        return ". ".join(_plain_hold(words) for words in report.holds) or report.summary
    if report.verdict in {"fail", "pass"}:
        return "An approval" if position.condition == "awaiting_approval" else "Nothing"
    return _lacking(report)


def _lacking(report: GateReport) -> str:
    if report.gate in {"ga", "certificate"}:
        return _alarmed(report) if report.gate == "ga" else _without_head(report.summary)
    too_few = [words for check in _asked(report) if (words := _too_few(check))]
    others = [words for words in report.blocks if not words.endswith("not proven")]
    if too_few or others:
        return ". ".join([*too_few, *others])
    if report.verdict == "inconclusive":
        return "An answer: with all that was seen it cannot be told whether the candidate is as good as base"
    if report.look:
        return "More requests: it cannot be told yet whether the candidate is as good as base"
    return "Only time: as many requests and users were seen as are asked for"


def _alarmed(report: GateReport) -> str:
    if not report.alarms:
        return "Nothing"
    head, words = report.alarms[-1].split(": ", 1)
    return f"Nothing by itself. But there was an {head}: {words}. Find out whether the candidate or the world changed"


def _too_few(check: CheckReport) -> str:
    """Return how many requests and users a check lacks; empty where it has enough."""
    if not check.applies or check.verdict == "pass":
        return ""
    figures, noun = check.figures, _COUNTED.get(check.check, "request")
    users = int((figures.get("min_users") or 0) - (figures.get("users_candidate") or 0))
    requests = int((figures.get("min_requests") or 0) - (figures.get("requests_candidate") or 0))
    parts = [counted(lack, f"more {one}") for lack, one in ((requests, noun), (users, "user")) if lack > 0]
    return f"{_plain(check)}: {listed(parts)} of the candidate" if parts else ""


def _plain(check: CheckReport) -> str:
    return _PLAIN.get(check.check, check.check)


def _asked(report: GateReport) -> list[CheckReport]:
    return [check for check in report.checks if check.applies]


def _plain_hold(words: str) -> str:
    return _ODDS.sub("", words).removesuffix(". Nothing is concluded")


def _without_head(summary: str) -> str:
    return summary.split(". ", 1)[-1]


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}" + ("" if words.endswith(".") else ".")
