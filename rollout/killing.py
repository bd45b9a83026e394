"""Fast kill: users whose requests fail are candidates too often to be chance. Pure."""

from __future__ import annotations

import math

from analytics.evidence import StepEvidence
from analytics.fastkill import Counter, counters
from rollout.phase import FrozenStep, pace
from rollout.phrases import counted, needed_odds, odds
from rollout.verdict import CheckReport

_KINDS = {"failure": "failed", "client_error": "were refused (client errors)"}
_LOOKS = 2


def alarming(step: FrozenStep, evidence: StepEvidence) -> Counter | None:
    """Return the counter that alarms most, if one does; none at 0 and at 100 %."""
    stretches = pace(step.row)
    found = counters(
        evidence.failing,
        percent=step.row.percent,
        relative=step.fast_kill_margin,
        alpha=step.fast_kill_alpha,
        hours=_LOOKS * stretches.dwell_s / stretches.hour_s,
    )
    return next((counter for counter in found if counter.is_alarming), None)


def killed(step: FrozenStep, counter: Counter) -> CheckReport:
    """Return what people read of a counter that alarms."""
    candidates = counted(counter.candidate, "candidate user")
    base = counted(counter.base, "base user") if counter.base else "no base user"
    within = " within the present hour" if counter.window == "hour" else ""
    at = f"odds {odds(counter.ln_odds)} at {step.row.percent:g} % of users"
    return CheckReport(
        check="fast kill",
        verdict="fail",
        words=f"{candidates} {_KINDS[counter.kind]}, {base}{within}: {at}, {needed_odds(counter.ln_needed)} needed",
        figures={
            "users_candidate": counter.candidate,
            "users_base": counter.base,
            "ln_odds": counter.ln_odds if math.isfinite(counter.ln_odds) else None,
            "ln_odds_needed": counter.ln_needed,
            "percent": step.row.percent,
        },
    )
