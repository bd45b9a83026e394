"""How many requests an outage of the candidate costs until fast kill answers, and how often it answers without one."""

from __future__ import annotations

from functools import partial

from analytics.evidence import FailingUsers
from analytics.fastkill import counters
from benchmarks.gates.drawn.counts import generator
from benchmarks.gates.drawn.outages import outage
from benchmarks.gates.runs import Aim, Case, Outcome, Table
from benchmarks.gates.scenario import Scenario

_ALPHA = 0.005
_RELATIVE = 0.25
_DWELL_DAYS = 7
_HOURS = 48.0 * _DWELL_DAYS
"""How many clock hours a step of seven days may last to its second look."""


def play(scenario: Scenario, hour: float, seed: int, run: int) -> Outcome:
    """Count the candidate's requests from the outage's begin until an alarm."""
    rng = generator(seed, f"{scenario.name} outage at {hour:g}", run)
    for failed in outage(rng, scenario, hour=hour):
        failing = FailingUsers(
            kind="failure",
            base=failed.base,
            candidate=failed.candidate,
            hour_base=failed.hour_base,
            hour_candidate=failed.hour_candidate,
        )
        found = counters([failing], percent=scenario.share * 100, relative=_RELATIVE, alpha=_ALPHA, hours=_HOURS)
        if any(counter.is_alarming for counter in found):
            return {"requests": float(failed.candidate_requests)}
    return {"requests": None}


def table() -> Table:
    """Return an outage at the start and at hour 100, at four percents."""
    shares = (0.05, 0.1, 0.25, 0.5)
    references = {0.0: (4, 4, 7, 14), 100.0: (7, 8, 14, 27)}
    return Table(
        name="fast-kill",
        title="A total outage",
        words=(
            "The protocol's users, 2 % errors, ICC .01; from its begin on every request of a candidate user "
            "fails. Median of the candidate's requests until fast kill, a share of .005 for a step of 7 days."
        ),
        runs=2_000,
        figures={"requests": "median"},
        cases=[
            Case(
                name=f"{share * 100:g} %, outage at hour {hour:g}",
                play=partial(play, Scenario(share=share), hour),
                aims={"requests": Aim(reference=reference)},
            )
            for hour, at in references.items()
            for share, reference in zip(shares, at, strict=True)
        ],
    )
