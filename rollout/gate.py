"""What the evidence of a step proves: a verdict for each check and for the gate, in words. Pure.

The law is the order of verdicts: fast kill, then what holds, then failures, then proof, and only at a scheduled look;
thin evidence is collecting, and never more than inconclusive. Shapes stand in `verdict.py`.
"""

from __future__ import annotations

from msgspec.structs import replace

from analytics.evidence import Check, StepEvidence
from rollout.checks import LOOKS, Tick, applies, read, verdict_of, watched
from rollout.conclusion import Outcome, conclude, safety_of
from rollout.holds import holds, newly_latched
from rollout.killing import alarming, killed
from rollout.lines import NOT_APPLICABLE, held_line, line_of, unread_line
from rollout.notes import notes
from rollout.numbers import counts_of, figures_of, minima_of
from rollout.phase import FrozenStep, pace
from rollout.usual import figures_of_unknown, is_unknown, unknown_line
from rollout.verdict import CheckReport, GateReport, Look, Verdict, Watch

__all__ = ["CheckReport", "GateReport", "Look", "Verdict", "Watch", "judge", "look_due"]


def judge(
    step: FrozenStep, watch: Watch, evidence: StepEvidence, *, at: int, running_s: float, look: Look
) -> tuple[GateReport, Watch]:
    """Return what this tick concludes, and what the next one needs to know.

    `evidence` is of this step; `at`: µs since 1970 UTC; `look`: the scheduled look that is due (`look_due`). A look
    within a hold is not over: it is due again at the next tick. The certificate's row is judged by
    `judge_certificate`; here it is inconclusive.
    """
    holding = holds(step, evidence.quality, watch.latched)
    looks = watch.looks if holding else max(watch.looks, look)
    tick = Tick(running_s=running_s, look=look, looks=looks, dwell_s=pace(step.row).dwell_s, is_proof=step.is_proof)
    seen = watched(step, watch, evidence, running_s)
    checks = {check: _checked(check, step, seen, evidence, tick) for check in _asked(step)}
    counter = alarming(step, evidence)
    killer = None if counter is None else killed(step, counter)
    outcome = conclude(step, evidence, tick, holding=holding, checks=tuple(checks.values()), killer=killer)
    after = replace(seen, latched=newly_latched(holding, watch.latched), looks=looks)
    if look and not holding:
        after = replace(after, passed=tuple(name for name, check in checks.items() if check.verdict == "pass"))
    shown = (_held(check) if outcome.verdict == "hold" else check for check in checks.values())
    report = replace(_report(step, outcome, at=at, running_s=running_s, look=look), safety=safety_of(step, evidence))
    killers = () if killer is None else (killer,)
    sentences = tuple(hold.words for hold in holding)
    return replace(report, checks=(*killers, *shown), holds=sentences, notes=notes(evidence)), after


def look_due(step: FrozenStep, watch: Watch, running_s: float) -> Look:
    """Return which scheduled look is due at a tick: the first at or after D, and the first at or after 2D."""
    dwell_s = pace(step.row).dwell_s
    if step.row.gate in {"certificate", "ga"} or watch.looks >= LOOKS:
        return 0
    if running_s >= LOOKS * dwell_s:
        return 2
    return 1 if watch.looks == 0 and running_s >= dwell_s else 0


def _asked(step: FrozenStep) -> tuple[Check, ...]:
    """Return the checks that can be read: where everybody is a candidate, there is no base beside it."""
    return () if step.row.gate == "ga" and step.row.percent >= 100 else step.row.asked


def _checked(check: Check, step: FrozenStep, watch: Watch, evidence: StepEvidence, tick: Tick) -> CheckReport:
    if not applies(check, step, evidence):
        return CheckReport(check=check, verdict="inconclusive", words=NOT_APPLICABLE, applies=False)
    sums, reading = evidence.checks.get(check), read(check, step, watch, evidence, tick)
    verdict = verdict_of(reading, check, step, watch, tick)
    if reading is None and is_unknown(check, step, evidence):
        words = unknown_line(check, evidence, verdict, tick)
        figures = {**figures_of_unknown(check, evidence), **minima_of(step.margins[check])}
        return CheckReport(check=check, verdict=verdict, words=words, figures=figures)
    if reading is None:
        words = unread_line(check, sums, step.margins[check], verdict, tick)
        figures = {**(counts_of(sums) if sums is not None else {}), **minima_of(step.margins[check])}
        return CheckReport(check=check, verdict=verdict, words=words, figures=figures)
    return CheckReport(check=check, verdict=verdict, words=line_of(reading, verdict, tick), figures=figures_of(reading))


def _held(check: CheckReport) -> CheckReport:
    return replace(check, verdict="hold", words=held_line(check.check)) if check.applies else check


def _report(step: FrozenStep, outcome: Outcome, *, at: int, running_s: float, look: Look) -> GateReport:
    return GateReport(
        rollout=step.rollout,
        generation=step.generation,
        step=step.step,
        digest=step.digest,
        gate=step.row.gate,
        at=at,
        running_s=running_s,
        look=look,
        verdict=outcome.verdict,
        summary=outcome.summary,
        is_fast_kill=outcome.is_fast_kill,
        is_safety_only=outcome.is_safety_only,
        blocks=outcome.blocks,
    )
