"""Equal candidates on the plan that `turnout rollout plan --suggest` proposes: how many reach general availability."""

from __future__ import annotations

from functools import cache, partial

from msgspec.structs import replace

from analytics.evidence import Check
from analytics.forecast import LIKELY, Tolerance
from analytics.prospect import PlanRow
from analytics.suggestion import Suggestion, suggest
from benchmarks.gates.drawn.crowd import Crowd
from benchmarks.gates.drawn.weeks import base_week, with_design_effect
from benchmarks.gates.runs import Aim, Case, Outcome, Table
from benchmarks.gates.whole import play as play_plan
from rollout.durations import DAY_S
from rollout.phase import Margin, Plan, Row, StepStart, freeze_step
from rollout.plan import DEFAULT_PLAN

_DESIGN_EFFECT = 3.0
_CROWDS = {
    5_000: Crowd(users=2_500, requests=2.0),
    50_000: Crowd(users=12_500, requests=4.0),
    500_000: Crowd(users=50_000, requests=10.0),
}
"""Users at any one time, by requests a day."""


@cache
def proposed(requests_per_day: int, seed: int) -> tuple[Crowd, Suggestion]:
    """Return the crowd, and what is proposed after a week of it."""
    crowd = with_design_effect(_CROWDS[requests_per_day], _DESIGN_EFFECT, seed)
    gated = [number for number, row in enumerate(DEFAULT_PLAN.rows) if row.gate in {"canary", "beta"}]
    rows = [
        PlanRow(
            phase=row.phase,
            percent=row.percent,
            days=(row.dwell_s or 0.0) / DAY_S,
            checks=row.asked if DEFAULT_PLAN.is_proof(number) else (),
        )
        for number, row in ((number, DEFAULT_PLAN.rows[number]) for number in gated)
    ]
    found = suggest(rows, base_week(crowd, seed), tolerances())
    if found is None:
        message = "a week of base has no forecast: draw more traffic"
        raise ValueError(message)
    return crowd, found


def tolerances() -> dict[Check, Tolerance]:
    """Return the default plan's margins as a forecast reads them."""
    frozen = freeze_step(DEFAULT_PLAN, 1, StepStart(rollout="", generation=1, step=1, started_at=0, references={}))
    return {
        check: Tolerance(
            relative=margin.relative,
            absolute=margin.absolute,
            ratio=margin.ratio,
            min_users=margin.min_users,
            min_requests=margin.min_requests,
            alpha=margin.alpha,
        )
        for check, margin in frozen.margins.items()
    }


def plan_of(found: Suggestion) -> Plan:
    """Return the plan that is proposed."""
    margins: dict[Check, Margin] = {
        check: replace(DEFAULT_PLAN.margins[check], relative=each.relative, absolute=each.absolute, ratio=each.ratio)
        for check, each in found.tolerances.items()
    }
    gated = iter(found.rows)
    rows = tuple(
        row if row.gate not in {"canary", "beta"} else _as_proposed(row, next(gated)) for row in DEFAULT_PLAN.rows
    )
    return replace(DEFAULT_PLAN, rows=rows, margins=margins)


def _as_proposed(row: Row, proposal: PlanRow) -> Row:
    return replace(row, percent=proposal.percent, dwell_s=proposal.days * DAY_S)


def described(requests_per_day: int, seed: int) -> str:
    """Return the crowd and the proposed plan in words."""
    crowd, found = proposed(requests_per_day, seed)
    steps = ", ".join(f"{row.phase} {row.percent:g} % for {row.days:g} d" for row in found.rows)
    margins = ", ".join(f"{check} {_margin(found.tolerances[check])}" for check in found.widened)
    widened = f"; wider margins: {margins}" if margins else "; margins as by default"
    return f"{crowd.users:,} users, ICC {crowd.icc:.3f}; {steps}{widened}; forecast {found.chance:.2f}"


def _margin(tolerance: Tolerance) -> str:
    if tolerance.ratio != 1.0:
        return f"x{tolerance.ratio:g}"
    return f"{tolerance.relative * 100:g} % + {tolerance.absolute:g}"


def play(requests_per_day: int, seed: int, run: int) -> Outcome:
    """Play one rollout on the proposed plan."""
    crowd, found = proposed(requests_per_day, seed)
    outcome = play_plan(crowd, plan_of(found), 4, seed, run)
    return {name: outcome[name] for name in ("reached GA", "days") if name in outcome}


def table() -> Table:
    """Return three sizes of traffic."""
    return Table(
        name="suggested",
        title="An equal candidate on the plan that is suggested",
        words=(
            "1 % errors with a design effect of 3, 2 % new users a day, latencies and ratings as in the table "
            "of whole rollouts; the plan is what `--suggest` proposes after a week of base. Four ticks to each "
            "look, nobody helps. At least .80 must reach general availability."
        ),
        runs=400,
        figures={"reached GA": "share", "days": "median"},
        cases=[
            Case(
                name=f"{requests:,} requests a day",
                play=partial(play, requests),
                aims={"reached GA": Aim(at_least=LIKELY)},
                note=partial(described, requests),
            )
            for requests in _CROWDS
        ],
    )
