"""How often a candidate that is as good as base is rolled back, whatever users, traffic and errors do in time."""

from __future__ import annotations

from functools import partial
from typing import get_args

from benchmarks.gates.drawn.counts import drawn, generator
from benchmarks.gates.drawn.sums import check_sums
from benchmarks.gates.protocol import ALPHA, MARGIN, ticks
from benchmarks.gates.runs import Aim, Case, Outcome, Table
from benchmarks.gates.scenario import Pattern, Scenario
from benchmarks.gates.steps import follow, step

_CROWDS = ((0.1, 400), (0.1, 1000), (0.5, 200), (0.5, 1000))
_TWO_LOOKS_H = 336.0


def scenarios() -> list[Scenario]:
    """Return every pattern with every correlation and every crowd, watched until the second look."""
    return [
        Scenario(icc=icc, pattern=pattern, share=share, users=users, horizon_h=_TWO_LOOKS_H)
        for pattern in get_args(Pattern)
        for icc in (0.0, 0.01, 0.09)
        for share, users in _CROWDS
    ]


def play(scenario: Scenario, seed: int, run: int) -> Outcome:
    """Watch one step until its second look, or until it fails."""
    counts = drawn(generator(seed, scenario.name, run), scenario)
    followed = ticks(counts, scenario, check_sums(counts))
    frozen = step(scenario.share * 100, scenario.dwell_h, {"errors": MARGIN})
    end = follow(frozen, followed)
    return {
        "rolled back": float(end.failed),
        "passed": float(end.passed > 0),
        "held": float(end.report.verdict == "hold"),
    }


def table() -> Table:
    """Return a row for each scenario."""
    aims = {"rolled back": Aim(at_most=ALPHA)}
    return Table(
        name="false-rollback",
        title="Rolled back without being worse",
        words=(
            "Equal arms under the protocol's traffic, changed in time as the row says, one check at α = .05, "
            "watched every 6 hours until the second look after 14 days. At most α may be rolled back."
        ),
        runs=1_000,
        figures={"rolled back": "share", "passed": "share", "held": "share"},
        cases=[
            Case(name=scenario.name.removeprefix("A/A, "), play=partial(play, scenario), aims=aims)
            for scenario in scenarios()
        ],
    )
