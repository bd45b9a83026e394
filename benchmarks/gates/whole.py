"""Whole rollouts of an equal candidate, step by step, every check and fast kill at work."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from analytics.evidence import Check
from benchmarks.gates.drawn.counts import generator
from benchmarks.gates.drawn.crowd import Crowd, People, step_ticks
from benchmarks.gates.runs import Aim, Case, Outcome, Table
from benchmarks.gates.steps import follow
from rollout.phase import PHASE_ALPHA, FrozenStep, Plan, StepStart, freeze_step
from rollout.plan import DEFAULT_PLAN

_BEGAN_US = 1_760_000_000_000_000


def play(crowd: Crowd, plan: Plan, per_look: int, seed: int, run: int) -> Outcome:
    """Play all rows up to general availability; where proof is missing after both looks a person advances.

    `reached GA`: without that person. A phase that is not reached has no outcome.
    """
    rng = generator(seed, repr(crowd), run)
    rows = [number for number, row in enumerate(plan.rows) if row.gate in {"canary", "beta"}]
    people = People(rng, crowd, sum(2 * (plan.rows[number].dwell_s or 0.0) for number in rows) / 3600)
    outcome: dict[str, float | None] = {"reached GA": 1.0}
    hour = 0.0
    for number in rows:
        frozen = frozen_row(plan, number)
        end = follow(frozen, step_ticks(rng, crowd, people, frozen, hour, per_look=per_look), plan)
        hour += end.hour
        phase = f"{frozen.row.phase} rolled back"
        outcome[phase] = max(outcome.get(phase) or 0.0, float(end.failed))
        if end.failed or not end.passed:
            outcome["reached GA"] = 0.0
        if end.failed:
            return outcome
    if outcome["reached GA"]:
        outcome["days"] = hour / 24
    return outcome


def frozen_row(plan: Plan, number: int) -> FrozenStep:
    """Return a row as it is frozen by the product; the thresholds of latency come with the traffic."""
    references: dict[Check, float | None] = {"p50": 1.0, "p99": 1.0, "ttft": 1.0}
    start = StepStart(rollout="simulated", generation=1, step=number, started_at=_BEGAN_US, references=references)
    return freeze_step(plan, number, start)


def crowds() -> Mapping[str, Crowd]:
    """Return the crowds of the table."""
    return {
        "2,000 users, 8 requests a day": Crowd(),
        "500 users, 30 requests a day": Crowd(users=500, requests=30.0),
        "2,000 users, half of them new each day": Crowd(turnover=0.5),
        "2,000 users, errors mostly of a few (ICC .3)": Crowd(icc=0.3),
    }


def table() -> Table:
    """Return equal candidates on the default plan."""
    limit = Aim(at_most=PHASE_ALPHA)
    return Table(
        name="whole-gate",
        title="Whole rollouts of an equal candidate on the default plan",
        words=(
            "All four gated steps with all checks and fast kill, twelve ticks to each look. Where proof is "
            "missing after both looks a person advances, so that every phase is watched; reached GA counts "
            "rollouts that needed nobody. At most .05 of them may be rolled back in a phase."
        ),
        runs=1_000,
        figures={"canary rolled back": "share", "beta rolled back": "share", "reached GA": "share", "days": "median"},
        cases=[
            Case(
                name=name,
                play=partial(play, crowd, DEFAULT_PLAN, 12),
                aims={"canary rolled back": limit, "beta rolled back": limit},
            )
            for name, crowd in crowds().items()
        ],
    )
