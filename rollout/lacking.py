"""What is missing for the next decision of a step that runs, in plain language. Pure.

The law: a row that passes when nothing failed asks for what makes that safe, and for no check's own minima; and what
base alone can bring is never asked of the candidate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rollout.phrases import counted, listed
from rollout.verdict import CheckReport, Figures, GateReport
from rollout.vigilance import CANNOT_SEE

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
_SAID_OTHERWISE = ("not proven", "are needed")
"""How what blocks a look ends where the checks, or the row's own minima, say it better."""


def plain(check: str) -> str:
    """Return a check's name as anybody understands it."""
    return _PLAIN.get(check, check)


def unwatched(report: GateReport) -> list[str]:
    """Return what the watch at 100 % cannot see, since base had too little of it."""
    return [plain(check.check) for check in report.checks if not check.applies]


def lacking(report: GateReport) -> list[str]:
    """Return what is missing, a sentence each and one at least; `report` neither holds nor is decided."""
    if report.gate == "ga" or report.alarms:
        return list(_watched(report))
    if report.gate == "certificate":
        return [report.summary.split(". ", 1)[-1]]
    safety = _few(report.safety, "request")
    few = ([f"{safety} of the candidate"] if safety else []) if report.safety else list(_checks(report))
    found = [*few, *(words for words in report.blocks if not words.endswith(_SAID_OTHERWISE))]
    return found or [_otherwise(report)]


def _otherwise(report: GateReport) -> str:
    if report.verdict == "inconclusive":
        return "An answer: with all that was seen it cannot be told whether the candidate is as good as base"
    if report.safety:
        return "Only time: nothing is worse than allowed so far, and this step asks for no more requests and users"
    if report.look:
        return "More requests: it cannot be told yet whether the candidate is as good as base"
    return "Only time: as many requests and users were seen as are asked for"


def _checks(report: GateReport) -> Iterator[str]:
    """Yield what the checks lack that have to be proven: first of base, then of the candidate."""
    asked = [check for check in report.checks if check.applies and check.verdict != "pass"]
    yield from _of_base([check for check in asked if "min_answers_base" in check.figures])
    for check in asked:
        if "min_answers_base" not in check.figures:
            few = _few(check.figures, _COUNTED.get(check.check, "request"))
            if few:
                yield f"{plain(check.check)}: {few} of the candidate"


def _of_base(unknown: Sequence[CheckReport]) -> Iterator[str]:
    """Yield how many answers base has to give before it is known how long answers take."""
    lacks: dict[int, list[str]] = {}
    for check in unknown:
        lack = int((check.figures["min_answers_base"] or 0) - (check.figures.get("answers_base") or 0))
        if lack > 0:
            lacks.setdefault(lack, []).append(plain(check.check))
    for lack, names in lacks.items():
        yield f"{listed(names)}: {counted(lack, 'more answer')} of base, before which nobody knows what is usual"
    if lacks:
        yield "Base's own traffic brings them, not the candidate's"


def _few(figures: Figures, noun: str) -> str:
    """Return how many requests and users are lacking; empty where there are enough."""
    users = int((figures.get("min_users") or 0) - (figures.get("users_candidate") or 0))
    requests = int((figures.get("min_requests") or 0) - (figures.get("requests_candidate") or 0))
    parts = [counted(lack, f"more {one}") for lack, one in ((requests, noun), (users, "user")) if lack > 0]
    return listed(parts) if parts else ""


def _watched(report: GateReport) -> Iterator[str]:
    """Yield what is to be known of a watch: nothing is missing, but it may have alarmed, or not see everything."""
    if report.alarms:
        when, words = report.alarms[-1].split(": ", 1)
        worse = plain(words.split(" against ", 1)[0])
        yield f"Nothing by itself. But there was an {when}, of {worse}: worse than with base, by more than is allowed"
        yield "Find out whether the candidate or the world changed; `turnout gate check` has the figures"
    else:
        yield "Nothing"
    _, _, trouble = report.summary.partition(CANNOT_SEE)
    if trouble:
        yield f"For the moment {CANNOT_SEE}{trouble.split('; the last alarm', 1)[0]}"
    unseen = unwatched(report)
    if unseen:
        yield f"Not watched, for base had too little of it: {listed(unseen)}"
