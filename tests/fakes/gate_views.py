"""Gates as the console shows them, with what the telling of a story reads."""

from __future__ import annotations

from gateway.console.gate_views import ControllerView, GateView
from rollout.explanation import Explanation
from rollout.phase import Phase
from rollout.progress import Standing
from rollout.verdict import CheckReport, GateReport, Verdict

ANSWERS = Explanation(not_there_yet="", missing="", next_decision="", then="", may_do="")


def report(verdict: Verdict, summary: str, *, at: int = 1, look: int = 0) -> GateReport:
    """Return a report of one check, in words that stand for others."""
    errors = CheckReport(
        check="errors",
        verdict=verdict,
        words="errors: so and so",
        figures={"requests_base": 900, "requests_candidate": 300},
    )
    return GateReport(
        rollout="r",
        generation=1,
        step=1,
        digest="d",
        gate="canary",
        at=at,
        running_s=1.0,
        look=1 if look else 0,
        verdict=verdict,
        summary=summary,
        checks=(errors,),
    )


def view(standing: Standing, percent: float, *, phase: Phase | None = "canary", step: int = 1) -> GateView:
    """Return where a rollout stands."""
    return GateView(
        rollout="r",
        generation=1,
        step=step,
        percent=percent,
        version=1,
        controller=ControllerView(standing=standing, phase=phase, dwell_s=75.0),
        next_row=None,
        report=None,
        answers=ANSWERS,
    )
