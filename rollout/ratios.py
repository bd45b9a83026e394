"""A latency's ratio with its interval, from raw rows: of which checks it is asked, and what comes of it. Pure.

The law: it is read and decides nothing; its bound at a look is within the margin if and only if the look passes.
"""

from __future__ import annotations

from collections.abc import Mapping

from analytics.evidence import LATENCY, Check, StepEvidence
from analytics.figures import ClusterSums
from analytics.proof import PASS_Z
from analytics.quantile import latency_ratio
from analytics.sequential import contrast, safe_multiplier
from rollout.checks import LOOKS, applies
from rollout.phase import FrozenStep
from rollout.verdict import Look, Watch


def caps_of(step: FrozenStep, evidence: StepEvidence) -> Mapping[Check, float]:
    """Return the latency checks of which a ratio can be told, each with the cap that raw rows are counted under."""
    return {
        check: sums.cap
        for check, sums in evidence.checks.items()
        if check in LATENCY and check in step.row.asked and applies(check, step, evidence)
        if contrast(sums) is not None
    }


def ratios(
    step: FrozenStep,
    watch: Watch,
    evidence: StepEvidence,
    slower: Mapping[Check, Mapping[float, ClusterSums]],
    *,
    look: Look,
) -> Mapping[Check, tuple[float, float, float]]:
    """Return value, low and high of each ratio; `slower`: the candidate's sums of 1{L > r·Q0} by the factor r.

    At a look, and behind the last, the interval is PASS's; before it is one that is safe to read at any time, and there
    is none as long as nobody can tell it.
    """
    found: dict[Check, tuple[float, float, float]] = {}
    for check, by_factor in slower.items():
        sums = evidence.checks[check]
        multiplier = PASS_Z if look or watch.looks >= LOOKS else _safe(check, watch, evidence)
        if multiplier is None or sums.candidate.y is None:
            continue
        known = {**by_factor, 1.0: sums.candidate.x, step.margins[check].ratio: sums.candidate.y}
        ratio = latency_ratio(sums.base, known, multiplier=multiplier)
        if ratio is not None:
            found[check] = (ratio.value, ratio.low, ratio.high)
    return found


def _safe(check: Check, watch: Watch, evidence: StepEvidence) -> float | None:
    known, optimum = contrast(evidence.checks[check]), watch.v_opt.get(check)
    return None if known is None or optimum is None else safe_multiplier(known.clock, optimum)
