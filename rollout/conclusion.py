"""From the verdicts of checks to the gate's, in the order that a rollout's safety demands. Pure.

The law: fast kill comes before a hold, for a candidate that destroys its own telemetry is not sheltered by that; a hold
before everything else; a failure before proof. A gate without checks never passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from analytics.evidence import StepEvidence
from rollout.checks import Tick
from rollout.durations import spoken
from rollout.holds import Hold
from rollout.phase import FrozenStep
from rollout.phrases import counted, listed, rates
from rollout.verdict import CheckReport, Figures, Verdict

MOST_FALLBACK = 0.01
"""With a greater share of candidate's requests answered by base nothing passes: users have rated base's answers."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict, and what a report says of it beside its checks."""

    verdict: Verdict
    summary: str
    blocks: tuple[str, ...] = ()
    is_fast_kill: bool = False
    is_safety_only: bool = False


def conclude(
    step: FrozenStep,
    evidence: StepEvidence,
    tick: Tick,
    *,
    holding: Sequence[Hold],
    checks: Sequence[CheckReport],
    killer: CheckReport | None,
) -> Outcome:
    """Return the gate's verdict; `killer`: what fast kill says, if it alarms."""
    if killer is not None:
        return Outcome(verdict="fail", summary=f"Fast kill: {killer.words}", is_fast_kill=True)
    if holding:
        return Outcome(verdict="hold", summary=_hold_summary(holding))
    failing = [check for check in checks if check.verdict == "fail"]
    if failing:
        others = f" And {listed([check.check for check in failing[1:]])} too" if failing[1:] else ""
        return Outcome(verdict="fail", summary=f"{failing[0].words}.{others}".removesuffix("."))
    return _looked_at(step, evidence, tick, checks)


def _looked_at(step: FrozenStep, evidence: StepEvidence, tick: Tick, checks: Sequence[CheckReport]) -> Outcome:
    if step.row.gate == "certificate":
        return Outcome(verdict="inconclusive", summary="Nobody is served by the candidate: its certificate is judged")
    if step.row.gate == "ga":
        return Outcome(verdict="collecting", summary=_watched(step))
    blocks = tuple(_blocks(step, evidence, checks)) if tick.look else ()
    if tick.look and not blocks:
        return _passed(step, evidence, checks)
    if not tick.is_over:
        return Outcome(verdict="collecting", summary=_collecting(step, evidence, checks, tick, blocks), blocks=blocks)
    return Outcome(verdict="inconclusive", summary=_inconclusive(checks, tick, blocks), blocks=blocks)


def seen_by_candidate(evidence: StepEvidence) -> tuple[int, int]:
    """Return how many users and requests of the candidate there are to judge by."""
    sums = evidence.checks.get("errors")
    if sums is None:
        return evidence.quality.candidate_users, evidence.quality.candidate_rows
    return sums.candidate.x.users, sums.candidate.requests


def safety_of(step: FrozenStep, evidence: StepEvidence) -> Figures:
    """Return what a row that passes when nothing failed has seen and needs; nothing where proof is asked for."""
    if step.is_proof or step.row.gate in {"certificate", "ga"}:
        return {}
    users, requests = seen_by_candidate(evidence)
    return {
        "users_candidate": users,
        "requests_candidate": requests,
        "min_users": step.safety_users,
        "min_requests": step.safety_requests,
    }


def _blocks(step: FrozenStep, evidence: StepEvidence, checks: Sequence[CheckReport]) -> Iterator[str]:
    """Yield what keeps a look from passing, given that nothing failed."""
    asked = [check for check in checks if check.applies]
    if not asked:
        yield "The gate asks for no check that applies here, and without one it never passes"
    if step.is_proof:
        yield from _unproven([check for check in asked if check.verdict != "pass"])
    else:
        users, requests = seen_by_candidate(evidence)
        if users < step.safety_users or requests < step.safety_requests:
            have = f"{counted(requests, 'request')} of {counted(users, 'user')}"
            yield f"The candidate has {have}, and {_safe(step)} are needed"
    if evidence.fallback_share > MOST_FALLBACK:
        share, most = rates(evidence.fallback_share, MOST_FALLBACK)
        yield f"Base answered {share} of candidate's requests, {most} at most for a pass"


def _unproven(missing: Sequence[CheckReport]) -> Iterator[str]:
    """Yield which checks are not proven, and of which it was base that said too little."""
    unknown = [check.check for check in missing if "min_answers_base" in check.figures]
    others = [check.check for check in missing if check.check not in unknown]
    if others:
        yield f"{_are(others)} not proven"
    if unknown:
        yield f"base gave too few answers, so {_are(unknown)} not proven"


def _are(names: list[str]) -> str:
    return f"{listed(names)} {'is' if len(names) == 1 else 'are'}"


def _safe(step: FrozenStep) -> str:
    return f"{step.safety_requests:,} of {step.safety_users:,}"


def _passed(step: FrozenStep, evidence: StepEvidence, checks: Sequence[CheckReport]) -> Outcome:
    if step.is_proof:
        proven = listed([check.check for check in checks if check.applies])
        return Outcome(verdict="pass", summary=f"Pass: {proven} within the margin, proven")
    users, requests = seen_by_candidate(evidence)
    seen = f"{counted(requests, 'request')} of {counted(users, 'candidate user')}"
    summary = f"Pass, safety only: nothing failed in {seen}; proof is asked for at the last step of the phase"
    return Outcome(verdict="pass", summary=summary, is_safety_only=True)


def _hold_summary(holding: Sequence[Hold]) -> str:
    others = len(holding) - 1
    more = f", and {counted(others, 'other reason')} to wait" if others else ""
    return f"Hold: {holding[0].words}{more}"


def _watched(step: FrozenStep) -> str:
    if step.row.percent < 100:
        return f"Nothing speaks against the candidate; {100 - step.row.percent:g} % of users stay with base to compare"
    return "Everybody is served by the candidate, and no base is left beside it: a holdback keeps one"


def _collecting(
    step: FrozenStep, evidence: StepEvidence, checks: Sequence[CheckReport], tick: Tick, blocks: Sequence[str]
) -> str:
    following = f"next look in {spoken(tick.next_look_s or 0.0)}"
    if blocks:
        return f"Collecting: {'. '.join(blocks)}; {following}"
    if not step.is_proof:
        users, requests = seen_by_candidate(evidence)
        seen = f"{counted(requests, 'request')} of {counted(users, 'user')} so far"
        is_enough = users >= step.safety_users and requests >= step.safety_requests
        needed = "" if is_enough else f", and {_safe(step)} are needed"
        return f"Collecting: nothing failed in {seen}{needed}; {following}"
    names = [check.check for check in checks if check.applies]
    return f"Collecting: {listed(names) if names else 'nothing'} to be proven; {following}"


def _inconclusive(checks: Sequence[CheckReport], tick: Tick, blocks: Sequence[str]) -> str:
    missing = [check.check for check in checks if check.applies and check.verdict != "pass"]
    said = ". ".join(blocks) or (f"no proof of {listed(missing)}" if missing else "the last look did not pass")
    return f"Inconclusive after {spoken(tick.running_s)}: {said}. A person decides"
