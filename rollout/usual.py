"""Latency checks of which nobody knows yet what is usual: how many answers of base that takes, and how many came. Pure.

The law: what is missing then is base's, so no count of the candidate's stands there as if it were lacking.
"""

from __future__ import annotations

from collections.abc import Mapping

from analytics.evidence import LATENCY, Check, StepEvidence
from analytics.references import LEAST_ROWS, counting, is_streaming
from rollout.checks import Tick
from rollout.durations import spoken
from rollout.phase import FrozenStep
from rollout.verdict import Figures, Verdict

_WHAT: Mapping[Check, str] = {
    "p50": "the usual answer time",
    "p99": "the time of base's slowest answers",
    "ttft": "the usual time to the first token",
}


def is_unknown(check: Check, step: FrozenStep, evidence: StepEvidence) -> bool:
    """Tell whether a check cannot be measured yet, for its Q0 was unknown before the step and still is."""
    return check in LATENCY and step.references.get(check) is None and check not in evidence.checks


def unknown_line(check: Check, evidence: StepEvidence, verdict: Verdict, tick: Tick) -> str:
    """Return the line of a check that waits for base's answers."""
    seen, what, answers = _seen(check, evidence), _WHAT[check], "answers"
    if check == "ttft" and evidence.base_answered is not None:
        if is_streaming(evidence.base_answered):
            answers = "streamed answers"
        else:
            what = "whether base streams enough to ask for it"
    if verdict == "inconclusive":
        counts = "" if seen is None else f": {seen:,} of the {LEAST_ROWS:,} that it takes"
        words = f"Base gave too few {answers}{counts} to know {what}"
        return f"{check}: inconclusive after {spoken(tick.running_s)}. {words}"
    so_far = "" if seen is None else f"; {seen:,} so far"
    words = f"{what[0].upper()}{what[1:]} is known once base has given {LEAST_ROWS:,} {answers}{so_far}"
    return f"{check}: {verdict}. {words}"


def figures_of_unknown(check: Check, evidence: StepEvidence) -> Figures:
    """Return how many answers of base there are towards Q0 (None: nobody counted), and how many it takes."""
    return {"answers_base": _seen(check, evidence), "min_answers_base": LEAST_ROWS}


def _seen(check: Check, evidence: StepEvidence) -> int | None:
    return None if evidence.base_answered is None else counting(check, evidence.base_answered)
