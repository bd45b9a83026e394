"""A short plan, rollouts that stand somewhere in it, and what a gate might say of them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from rollout.change import Change, Held, State, applied
from rollout.flag import Flag
from rollout.moves import start
from rollout.phase import FrozenStep, Plan, Row
from rollout.plan import CERTIFICATE, DEFAULT_MARGINS
from rollout.progress import Progress, Standing
from rollout.stepping import Ahead, Wanted
from rollout.verdict import GateReport, Look, Verdict

SALES = "sales-companion"
AT = 1_800_000_000_000_000
FLAG = Flag(rollout=SALES, flag="f", base="gpt", candidate="tuned", salt="s")
SHORT_PLAN = Plan(
    rows=(
        CERTIFICATE,
        Row(phase="canary", percent=5.0, dwell_s=10.0, gate="canary"),
        Row(phase="canary", percent=10.0, dwell_s=20.0, gate="canary"),
        Row(phase="beta", percent=50.0, dwell_s=20.0, gate="beta"),
        Row(phase="ga", percent=98.0, dwell_s=30.0, gate="ga"),
    ),
    margins=DEFAULT_MARGINS,
)
AUTO_PLAN = replace(SHORT_PLAN, approval="auto")
AHEAD = Ahead(plan=SHORT_PLAN, references={"p50": 200.0, "p99": 900.0, "ttft": None})


def holding(progress: Progress | None = None, flag: Flag = FLAG) -> State:
    """Return the state of a ledger with one rollout."""
    held = Held(flag=flag, progress=progress or Progress(), changed_by="ops", changed_at=AT)
    return State(epoch=1, rollouts={flag.rollout: held})


def wanted(state: State, *, reason: str = "", version: int | None = None, actor: str = "ops", at: int = AT) -> Wanted:
    """Return a wish of somebody who saw the present version, or another."""
    seen = state.rollouts[SALES].flag.version if version is None else version
    return Wanted(rollout=SALES, version=seen, actor=actor, reason=reason, at=at)


def after(state: State, changes: list[Change], *, actor: str = "ops", at: int = AT) -> State:
    """Return the state after changes, as the ledger makes it."""
    for change in changes:
        state = applied(state, change, actor=actor, at=at)
    return state


def held(state: State) -> Held:
    """Return the one rollout."""
    return state.rollouts[SALES]


def step_of(state: State) -> FrozenStep:
    """Return the step of the one rollout, which has begun."""
    step = held(state).progress.step
    assert step is not None
    return step


def started(plan: Plan = SHORT_PLAN) -> State:
    """Return a state in which the plan has just begun."""
    state = holding()
    return after(state, start(state, wanted(state), replace(AHEAD, plan=plan)))


def standing(standing: Standing, **changed: Any) -> State:
    """Return a state in which the started plan stands like this."""
    state = started()
    progress = replace(held(state).progress, standing=standing, **changed)
    return replace(state, rollouts={SALES: replace(held(state), progress=progress)})


def said(verdict: Verdict, step: FrozenStep | None = None, *, look: Look = 0, **changed: Any) -> GateReport:
    """Return a gate's report on a step, by default on the first one of the plan."""
    judged = step or step_of(started())
    report = GateReport(
        rollout=SALES,
        generation=judged.generation,
        step=judged.step,
        digest=judged.digest,
        gate=judged.row.gate,
        at=AT,
        running_s=1.0,
        look=look,
        verdict=verdict,
        summary=f"It says {verdict}.",
    )
    return replace(report, **changed)
