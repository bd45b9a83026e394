"""What a gate reports and does not judge: cost, the net score, answers of base for a candidate. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from analytics.comparability import cost_ratio, is_cost_comparable
from analytics.evidence import StepEvidence
from rollout.phrases import counted, rates, scores


def notes(evidence: StepEvidence) -> tuple[str, ...]:
    """Return the lines that are only reported."""
    return (*_cost(evidence), *_net(evidence), *_fallback(evidence))


def _cost(evidence: StepEvidence) -> Iterator[str]:
    if evidence.cost is None:
        return
    shares = evidence.costed_share_base, evidence.costed_share_candidate
    if not is_cost_comparable(*shares):
        base, candidate = rates(*(share or 0.0 for share in shares))
        known = f"{candidate} of candidate's requests and {base} of base's"
        yield f"cost: not comparable. It is known of {known}, 95 % needed"
        return
    found = cost_ratio(evidence.cost)
    if found is not None:
        interval = f"95 % interval {found.low:.2f}\u2013{found.high:.2f}, fixed sample"
        seen = counted(evidence.cost.candidate.requests, "request")
        yield f"cost: {found.value:.2f} times base's for a request ({interval}); {seen}"


def _net(evidence: StepEvidence) -> Iterator[str]:
    if evidence.net_base is not None and evidence.net_candidate is not None:
        candidate, base = scores(evidence.net_candidate, evidence.net_base)
        yield f"net score of all answered requests, without feedback 0: candidate {candidate}, base {base}"


def _fallback(evidence: StepEvidence) -> Iterator[str]:
    if evidence.fallback_share:
        (share,) = rates(evidence.fallback_share)
        yield f"base answered {share} of candidate's requests; each counts as an error of the candidate"
