"""One look at a step: what its gate says of what is known now. For the controller's ticks and for whoever asks.

The law: a look changes nothing; who looks between two ticks sees what the next tick would say.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from analytics.evidence import Check, StepEvidence, StepWindow
from gateway.console.measuring import EvidenceLostError, Measuring
from rollout.gate import judge
from rollout.phase import FrozenStep, step_window
from rollout.progress import WATCHED, Progress, unknown_references
from rollout.ratios import caps_of, ratios
from rollout.verdict import GateReport, Look, Watch


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate says, what the next tick needs to know, and up to when everything is in (µs since 1970 UTC)."""

    report: GateReport
    watch: Watch
    as_of: int


def window_of(step: FrozenStep, references: Mapping[Check, float | None]) -> StepWindow:
    """Return what a step's evidence is made of, with the references that it took of itself."""
    return step_window(step, {check: q0 for check, q0 in references.items() if q0 is not None})


def looked(
    measuring: Measuring,
    progress: Progress,
    step: FrozenStep,
    references: Mapping[Check, float | None],
    *,
    at: int,
    look: Look,
    with_ratios: bool,
) -> Looked:
    """Return what the gate says now (µs since 1970 UTC); `with_ratios` at the cost of the step's raw rows.

    Raises:
        EvidenceLostError: nothing can be measured now.
    """
    window = window_of(step, references)
    evidence = measuring.look(window)
    missing = tuple(check for check, q0 in references.items() if q0 is None)
    evidence = replace(evidence, inapplicable=(*evidence.inapplicable, *missing))
    if with_ratios:
        evidence = _with_ratios(measuring, window, evidence, step, progress.watch, look)
    report, watch = judge(step, progress.watch, evidence, at=at, running_s=progress.running_s, look=look)
    return Looked(report=report, watch=watch, as_of=evidence.as_of)


def now(measuring: Measuring, progress: Progress, at: int) -> GateReport | None:
    """Return what the next tick would say, with the ratios of latency; None where the last word is as good.

    So it is where nothing is compared with base, or the step has not all of its references yet.
    """
    step = progress.step
    if step is None or progress.standing not in WATCHED or not 0 < step.row.percent < 100:
        return None
    if unknown_references(progress) or progress.report is None:
        return None
    try:
        found = looked(measuring, progress, step, progress.references, at=at, look=0, with_ratios=True)
    except EvidenceLostError:
        return None
    return found.report


def _with_ratios(
    measuring: Measuring, window: StepWindow, evidence: StepEvidence, step: FrozenStep, watch: Watch, look: Look
) -> StepEvidence:
    """Return the evidence with ratios; without where the rows cannot be read, for they decide nothing."""
    caps = caps_of(step, evidence)
    if not caps:
        return evidence
    try:
        slower = measuring.slower(window, caps)
    except EvidenceLostError:
        return evidence
    return replace(evidence, ratios=ratios(step, watch, evidence, slower, look=look))
