"""The numbers behind a check's verdict, by name, for whoever computes them again. Pure.

Requests and events (x of at least one half) are raw counts; `weighted_*` are the rates (0-1) under the cap, from which
gates compute.
"""

from __future__ import annotations

import math

from analytics.evidence import LATENCY, CheckSums
from analytics.proof import PASS_Z
from analytics.sequential import ln_evidence, ln_threshold, look_threshold
from rollout.checks import Reading
from rollout.phase import Margin
from rollout.verdict import Figures


def figures_of(reading: Reading) -> Figures:
    """Return every number behind a check; what cannot be told is None."""
    return {**counts_of(reading.sums), **_margin(reading), **_against(reading), **_proven(reading)}


def ln_odds(reading: Reading) -> float | None:
    """Return ln E, None before V_opt is frozen and where E is 0."""
    found = reading.found
    if reading.optimum is None:
        return None
    value = ln_evidence(found.z, found.clock, reading.optimum, reading.margin.alpha / 2)
    return value if math.isfinite(value) else None


def minima_of(margin: Margin) -> Figures:
    """Return what the candidate needs for a pass."""
    return {"min_users": margin.min_users, "min_requests": margin.min_requests}


def counts_of(sums: CheckSums) -> Figures:
    """Return what was counted in both arms."""
    base, candidate = sums.base, sums.candidate
    return {
        "cap": sums.cap,
        "users_base": base.x.users,
        "users_candidate": candidate.x.users,
        "requests_base": base.requests,
        "requests_candidate": candidate.requests,
        "events_base": base.events,
        "events_candidate": candidate.events,
        "weighted_base": base.x.ratio,
        "weighted_candidate": candidate.x.ratio,
        "weighted_candidate_beyond_ratio": candidate.y.ratio if candidate.y is not None else None,
    }


def _margin(reading: Reading) -> Figures:
    margin = reading.margin
    kinds = ("ratio",) if reading.check in LATENCY else ("relative", "absolute")
    return {
        **{f"margin_{kind}": getattr(margin, kind) for kind in kinds},
        "alpha": margin.alpha,
        **minima_of(margin),
    }


def _against(reading: Reading) -> Figures:
    found = reading.found
    return {
        "difference": found.difference,
        "standard_error": found.error,
        "z": found.z,
        "z_needed_at_look": look_threshold(reading.margin.alpha),
        "clock": found.clock,
        "clock_optimal": reading.optimum,
        "ln_odds": ln_odds(reading),
        "ln_odds_needed": ln_threshold(reading.margin.alpha),
        "drift": reading.drift,
    }


def _proven(reading: Reading) -> Figures:
    found, ratio = reading.proof, reading.ratio
    return {
        "target": found.target if found is not None else None,
        "pass_error": found.error if found is not None else None,
        "pass_statistic": found.statistic if found is not None else None,
        "pass_needed": PASS_Z,
        "ratio": ratio[0] if ratio is not None else None,
        "ratio_low": ratio[1] if ratio is not None else None,
        "ratio_high": ratio[2] if ratio is not None else None,
    }
