"""What a gate says at 100 %: what is watched, what alarmed, and that nothing goes back by itself. Pure.

The law: whoever reads it knows against what is compared, by how many, and that a person decides.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from analytics.evidence import Check
from rollout.change import moment
from rollout.durations import spoken
from rollout.phase import FrozenStep
from rollout.phrases import counted
from rollout.reference import Alarm, Vigil
from rollout.verdict import CheckReport, GateReport

NEVER_BACK = "This notifies and never rolls back: it cannot tell a worse candidate from a world that has changed"
CANNOT_SEE = "the watch cannot see: "
_US = 1_000_000


def reported(report: GateReport, vigil: Vigil, step: FrozenStep) -> GateReport:
    """Return a gate's report at 100 % with what the watch sees; one that holds keeps its summary."""
    checks = tuple(_line(check, vigil) for check in step.row.asked)
    said = replace(report, checks=checks, alarms=tuple(_past(alarm) for alarm in (*vigil.alarms, *vigil.news)))
    return said if report.verdict == "hold" else replace(said, summary=_summary(vigil))


def watched_since(vigil: Vigil) -> str:
    """Return what base's reference is made of, for the audit."""
    if not vigil.requests:
        return "base had no requests to compare with, so nothing is watched at 100 %"
    seen = f"{counted(vigil.requests, 'request')} of {counted(vigil.users, 'user')} in {spoken(_length_s(vigil))}"
    missing = "" if vigil.watched else ", too few to watch anything by"
    return f"base as it was is kept to compare with: {seen}{missing}"


def alarm_words(vigil: Vigil) -> str:
    """Return what people are told of the alarms that are new."""
    return f"{'. '.join(alarm.words for alarm in vigil.news)}. {NEVER_BACK}"


def _summary(vigil: Vigil) -> str:
    if vigil.news:
        return f"Alarm: {alarm_words(vigil)}"
    return "; ".join(_parts(vigil))


def _parts(vigil: Vigil) -> Iterator[str]:
    if not vigil.digest:
        yield "Everybody is served by the candidate; base as it was is about to be kept, to compare with"
    elif vigil.watched:
        yield "Everybody is served by the candidate, which is compared with base as it was"
        yield "that notifies and never rolls back"
    else:
        yield "Everybody is served by the candidate, and of base there was too little to compare with"
    if vigil.trouble:
        yield f"{CANNOT_SEE}{vigil.trouble}"
    if vigil.alarms:
        last = vigil.alarms[-1]
        yield f"the last alarm was of {last.check}, at {moment(last.at)}"


def _line(check: Check, vigil: Vigil) -> CheckReport:
    watched = vigil.watched.get(check)
    if watched is None:
        words = f"{check}: not watched. Base had too little of it" if vigil.digest else f"{check}: not watched yet"
        return CheckReport(check=check, verdict="collecting", words=words, applies=not vigil.digest)
    if not watched.observed:
        words = f"{check}: watched. No whole hour since with enough to compare"
        return CheckReport(check=check, verdict="collecting", words=words)
    needed = watched.figures.get("level_needed") or 0.0
    so_far = counted(watched.observed, "comparison")
    level = f"level {watched.detector.level:,.0f} after {so_far}, {needed:,.0f} alarms"
    return CheckReport(
        check=check,
        verdict="collecting",
        words=f"{check}: watched. {watched.words}; {level}",
        figures={**watched.figures, "observed": watched.observed},
    )


def _past(alarm: Alarm) -> str:
    return f"alarm at {moment(alarm.at)}: {alarm.words}"


def _length_s(vigil: Vigil) -> float:
    return (vigil.until - vigil.since) / _US
