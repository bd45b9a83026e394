"""One check at one tick: what its numbers prove, and its verdict. Pure; `lines.py` says it in words.

The law: FAIL may come at any tick, PASS at a scheduled look alone, and never both; whoever has no evidence is
collecting.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from analytics.comparability import are_ratings_comparable
from analytics.drift import is_drifting
from analytics.evidence import LATENCY, Check, CheckSums, StepEvidence
from analytics.proof import Proof, proof
from analytics.sequential import Contrast, contrast, is_failed, may_fail, optimum
from rollout.phase import FrozenStep, Margin, pace
from rollout.verdict import Look, Verdict, Watch

LOOKS = 2
"""Scheduled looks of a step: at or after D, and at or after 2D."""


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """Where in its step a tick stands: seconds of running time so far, the look that this is, and the dwell D.

    `is_proof`: whether the step asks for proof.
    """

    running_s: float
    look: Look
    looks: int
    dwell_s: float
    is_proof: bool = True

    @property
    def is_over(self) -> bool:
        """Whether no scheduled look comes after this tick."""
        return self.looks >= LOOKS

    @property
    def next_look_s(self) -> float | None:
        """Seconds of running time until the next scheduled look; None after the last."""
        return None if self.is_over else max(0.0, (self.looks + 1) * self.dwell_s - self.running_s)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one check at a tick, once both arms have two users. `proof` None: the margin cannot be proven.

    `optimum`: the frozen V_opt, `is_deaf` whether E is ignored. `is_comparable`: whether both arms' requests get
    feedback alike, as far as that matters here.
    """

    check: Check
    margin: Margin
    sums: CheckSums
    found: Contrast
    proof: Proof | None
    optimum: float | None = None
    is_deaf: bool = False
    has_minima: bool = False
    is_failed: bool = False
    is_comparable: bool = True
    drift: float | None = None
    ratio: tuple[float, float, float] | None = None

    @property
    def is_proven(self) -> bool:
        """Whether a scheduled look that sees this passes."""
        return self.has_minima and self.is_comparable and self.proof is not None and self.proof.is_pass


def applies(check: Check, step: FrozenStep, evidence: StepEvidence) -> bool:
    """Tell whether a check is about anything here: the time to the first token is not where hardly anybody streams."""
    return check != "ttft" or ("ttft" in step.references and "ttft" not in evidence.inapplicable)


def watched(step: FrozenStep, watch: Watch, evidence: StepEvidence, running_s: float) -> Watch:
    """Return the watch with each V_opt that this tick freezes, and each check whose monitor alarms."""
    frozen, deaf = dict(watch.v_opt), set(watch.deaf)
    stretches = pace(step.row)
    for check in step.row.asked:
        sums = evidence.checks.get(check)
        found = contrast(sums) if sums is not None else None
        if sums is None or found is None:
            continue
        if check not in frozen and may_fail(sums):
            clock = optimum(found.clock, dwell_s=stretches.dwell_s, running_s=running_s, hour_s=stretches.hour_s)
            if clock is not None:
                frozen[check] = clock
        if is_drifting(evidence.drift.get(check), sums.candidate.x.users):
            deaf.add(check)
    return replace(watch, v_opt=frozen, deaf=tuple(sorted(deaf)))


def read(check: Check, step: FrozenStep, watch: Watch, evidence: StepEvidence, tick: Tick) -> Reading | None:
    """Return what is known of a check, with the watch of `watched`; None with fewer than two users in an arm."""
    sums, margin = evidence.checks.get(check), step.margins[check]
    found = contrast(sums) if sums is not None else None
    if sums is None or found is None:
        return None
    tolerance = {} if check in LATENCY else {"relative": margin.relative, "absolute": margin.absolute}
    is_deaf = check in watch.deaf
    frozen = watch.v_opt.get(check)
    people, requests = sums.candidate.x.users, sums.candidate.requests
    return Reading(
        check=check,
        margin=margin,
        sums=sums,
        found=found,
        proof=proof(sums, **tolerance),
        optimum=frozen,
        is_deaf=is_deaf,
        has_minima=people >= margin.min_users and requests >= margin.min_requests,
        is_failed=is_failed(
            sums,
            alpha=margin.alpha,
            optimum=None if is_deaf else frozen,
            is_look=tick.look > 0,
            **tolerance,
        ),
        is_comparable=_is_comparable(check, evidence),
        drift=evidence.drift.get(check),
        ratio=evidence.ratios.get(check),
    )


def verdict_of(reading: Reading | None, check: Check, step: FrozenStep, watch: Watch, tick: Tick) -> Verdict:
    """Return a check's verdict, as if nothing held; `watch` is that of before this tick's look."""
    if reading is not None and reading.is_failed:
        return "fail"
    if step.row.gate == "ga":
        return "collecting"
    if tick.look and reading is not None:
        if reading.is_proven:
            return "pass"
        if not reading.is_comparable:
            return "inconclusive"
    if not tick.is_over:
        return "collecting"
    return "pass" if not tick.look and check in watch.passed else "inconclusive"


def _is_comparable(check: Check, evidence: StepEvidence) -> bool:
    if check != "satisfaction" or evidence.feedback is None:
        return True
    return are_ratings_comparable(evidence.feedback) is not False
