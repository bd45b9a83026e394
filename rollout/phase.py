"""Steps: which percent for how long, what its gate demands; frozen when a step begins. Pure.

The law: what a step is judged by is fixed before its first request. Margins, minima, shares of false alarms, the plan's
row and the references are frozen together, and one hash stands for all of it. A later edit acts from the next step on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from analytics.evidence import LATENCY, Check, StepWindow
from rollout.audit import canonical
from rollout.durations import DAY_S, HOUR_S
from rollout.schedule import FreezeWindow

Phase = Literal["certificate", "canary", "beta", "ga"]
Gate = Literal["certificate", "canary", "beta", "ga"]
Approval = Literal["one", "auto"]
Certified = Literal["required", "advised", "off"]

GATE_CHECKS: Mapping[Gate, tuple[Check, ...]] = {
    "certificate": (),
    "canary": ("errors", "p50", "p99", "ttft"),
    "beta": ("errors", "p50", "p99", "ttft", "satisfaction"),
    "ga": ("errors", "p50", "p99", "ttft", "satisfaction"),
}
"""What a gate asks for, in the order in which people read it."""

PHASE_ALPHA = 0.05
"""How often a candidate that is no worse is rolled back within a phase, at most."""
GA_WINDOW_ALPHA = 0.004
"""The same within one of the 13 windows of a year beside a holdback."""
GA_WINDOW_S = 28 * DAY_S
SHARES: Mapping[Check, float] = {"errors": 0.40, "p99": 0.16, "p50": 0.08, "ttft": 0.08, "satisfaction": 0.08}
"""How a row's share of false rollbacks is divided; unused ones stay unused."""
FAST_KILL_SHARE = 0.20
FAST_KILL_MARGIN = 0.25


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the candidate's `percent` (0-100) for `dwell_s` seconds of running time, None for without end.

    `checks`: what its gate asks for; None: what `GATE_CHECKS` has. Beside a holdback `dwell_s` is a window's length.
    """

    phase: Phase
    percent: float
    dwell_s: float | None
    gate: Gate
    checks: tuple[Check, ...] | None = None

    @property
    def asked(self) -> tuple[Check, ...]:
        """The checks that this row's gate asks for."""
        return GATE_CHECKS[self.gate] if self.checks is None else self.checks


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """What a check tolerates and how much it must have seen.

    Rates: R* = (1 + `relative`)·R_b + `absolute`; latency: `ratio` times base's quantile. `min_users` and
    `min_requests` are the candidate's, for a pass. `alpha` is its share of false rollbacks within one row; freezing a
    step sets it, by how many rows the phase has.
    """

    relative: float = 0.0
    absolute: float = 0.0
    ratio: float = 1.0
    min_users: int = 100
    min_requests: int = 1000
    alpha: float = 0.002


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout's rows in order, the certificate's first, and for each check its margin.

    `certified`: whether the first row is asked for. `safety_*`: what the candidate must have seen before an inner row
    passes since nothing failed. `start_at`: µs since 1970 UTC, before which nothing starts. While one of `freezes` is
    open nothing starts or advances; rolling back is always possible.
    """

    rows: tuple[Row, ...]
    margins: Mapping[Check, Margin]
    approval: Approval = "one"
    certified: Certified = "advised"
    safety_users: int = 100
    safety_requests: int = 500
    start_at: int | None = None
    freezes: tuple[FreezeWindow, ...] = ()

    def is_proof(self, number: int) -> bool:
        """Tell whether proof is asked for at this row: it is the last of its phase."""
        return number + 1 == len(self.rows) or self.rows[number + 1].phase != self.rows[number].phase


class StepStart(msgspec.Struct, frozen=True, kw_only=True):
    """Which step begins, when (µs since 1970 UTC), and what base was like before it: see `FrozenStep`.

    `percent` stands instead of the row's where a person set another one.
    """

    rollout: str
    generation: int
    step: int
    started_at: int
    references: Mapping[Check, float | None]
    rating: Literal["thumb", "rating"] = "thumb"
    percent: float | None = None


class FrozenStep(msgspec.Struct, frozen=True, kw_only=True):
    """What a step is judged by, from its first moment to its last.

    `row` is the plan's, `row_number` its place from 0, `is_proof` whether it is the last of its phase. `references`:
    Q0 in milliseconds of each latency check, None while unknown (the step's own are taken then, once), and `ttft`
    missing where it does not apply. `rating`: which feedback counts. `started_at`: µs since 1970 UTC. `margins` has
    every check, asked for or not. `fast_kill_margin`: m of its null hypothesis.
    """

    rollout: str
    generation: int
    step: int
    row_number: int
    row: Row
    is_proof: bool
    margins: Mapping[Check, Margin]
    fast_kill_alpha: float
    fast_kill_margin: float = FAST_KILL_MARGIN
    safety_users: int = 100
    safety_requests: int = 500
    references: Mapping[Check, float | None] = {}
    rating: Literal["thumb", "rating"] = "thumb"
    started_at: int = 0

    @property
    def digest(self) -> str:
        """The sha256, in hex, of the step's canonical JSON."""
        return hashlib.sha256(canonical(msgspec.to_builtins(self))).hexdigest()


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """The stretches of time, in seconds, by which a step of `dwell_s` is watched.

    `hour_s` is fast kill's clock hour, `day_s` the drift monitor's day. A step is held after `silence_s` without a row
    in one arm, `quiet_s` without any row, `heartbeat_s` without a heartbeat; rows of another percent count from
    `settle_s` on.
    """

    dwell_s: float
    hour_s: float
    day_s: float
    silence_s: float
    quiet_s: float
    heartbeat_s: float
    settle_s: float


def pace(row: Row) -> Pace:
    """Return the stretches of a row: those of statistics for steps of days, shorter ones with floors for short steps.

    Every stretch ends within the dwell, so that a step of ten seconds can be held before its first look.
    """
    dwell_s = row.dwell_s if row.dwell_s is not None else GA_WINDOW_S
    return Pace(
        dwell_s=dwell_s,
        hour_s=min(HOUR_S, dwell_s / 48),
        day_s=min(DAY_S, dwell_s / 4),
        silence_s=min(2 * HOUR_S, max(5.0, dwell_s / 4)),
        quiet_s=min(DAY_S, max(5.0, dwell_s / 2)),
        heartbeat_s=min(900.0, max(10.0, dwell_s / 4)),
        settle_s=min(300.0, max(2.0, dwell_s / 10)),
    )


def row_alpha(plan: Plan, row: Row) -> float:
    """Return the share (0-1) of false rollbacks that a row may use: its phase's, divided equally over the rows."""
    if row.phase == "ga":
        return GA_WINDOW_ALPHA
    return PHASE_ALPHA / sum(other.phase == row.phase for other in plan.rows)


def freeze_step(plan: Plan, row_number: int, start: StepStart) -> FrozenStep:
    """Return a row as the step that begins now will be judged by."""
    row = plan.rows[row_number]
    alpha = row_alpha(plan, row)
    return FrozenStep(
        rollout=start.rollout,
        generation=start.generation,
        step=start.step,
        row_number=row_number,
        row=row if start.percent is None else replace(row, percent=start.percent),
        is_proof=plan.is_proof(row_number),
        margins={
            check: replace(margin, alpha=_share(alpha, SHARES[check])) for check, margin in sorted(plan.margins.items())
        },
        fast_kill_alpha=_share(alpha, FAST_KILL_SHARE),
        fast_kill_margin=max(FAST_KILL_MARGIN, plan.margins["errors"].relative),
        safety_users=plan.safety_users,
        safety_requests=plan.safety_requests,
        references=start.references,
        rating=start.rating,
        started_at=start.started_at,
    )


def step_window(step: FrozenStep, found: Mapping[Check, float] | None = None) -> StepWindow:
    """Return which rows a step's evidence is made of.

    `found`: references that were unknown when the step began, and were taken from its own rows since. One that was
    known then stays.
    """
    known = {**(found or {}), **{check: value for check, value in step.references.items() if value is not None}}
    stretches = pace(step.row)
    return StepWindow(
        rollout=step.rollout,
        generation=step.generation,
        step=step.step,
        percent=step.row.percent,
        started_at=step.started_at,
        thresholds={
            check: (value, step.margins[check].ratio * value)
            for check, value in known.items()
            if check in LATENCY and check in step.references
        },
        rating=step.rating,
        hour_s=stretches.hour_s,
        day_s=stretches.day_s,
        silence_s=stretches.silence_s,
        settle_s=stretches.settle_s,
    )


def _share(alpha: float, part: float) -> float:
    # Shares are rounded so that the thresholds they give are those that are documented: 200, not 199.99999.
    return round(alpha * part, 12)
