"""The shape of `[rollouts.NAME.plan]`: steps, margins and times as people write them. Pure: `plans.py` reads it.

Each struct refuses unknown keys. What is left out is as in the default plan.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from analytics.evidence import Check

Duration = Annotated[
    str, Meta(min_length=1, max_length=64, description='a length of time in quotes, such as "2d" or "90s"')
]
Moment = Annotated[
    str, Meta(min_length=1, max_length=64, description='a moment in quotes, such as "2026-12-01T08:00:00Z"')
]
WindowEnd = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description='a moment or a time of the week in quotes, such as "2026-12-20T00:00:00Z" or "fri 16:00"',
    ),
]
AtLeast = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Rate = Annotated[float, Meta(ge=0, lt=0.5)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the plan."""


class StepDefinition(_Table, frozen=True, kw_only=True):
    """One step. `gate` None: the phase's own; `checks` None: all that the gate asks for."""

    phase: Literal["canary", "beta", "ga"]
    percent: Annotated[float, Meta(gt=0, le=100)]
    dwell: Duration | None = None
    gate: Literal["canary", "beta"] | None = None
    checks: tuple[Check, ...] | None = None


class RateMargin(_Table, frozen=True, kw_only=True):
    """What is tolerated of errors, or of lost satisfaction: `relative` to base's rate, and `absolute` (0-1) on top."""

    relative: Annotated[float, Meta(ge=0, le=10)] | None = None
    absolute: Rate | None = None
    min_users: AtLeast | None = None
    min_requests: AtLeast | None = None


class LatencyMargin(_Table, frozen=True, kw_only=True):
    """What is tolerated of a latency: `ratio` times base's."""

    ratio: Annotated[float, Meta(ge=1, le=10)] | None = None
    min_users: AtLeast | None = None
    min_requests: AtLeast | None = None


class MarginsDefinition(_Table, frozen=True, kw_only=True):
    """The margin of each check."""

    errors: RateMargin = RateMargin()
    p50: LatencyMargin = LatencyMargin()
    p99: LatencyMargin = LatencyMargin()
    ttft: LatencyMargin = LatencyMargin()
    satisfaction: RateMargin = RateMargin()


class FreezeDefinition(_Table, frozen=True, kw_only=True):
    """A stretch in which nothing starts or advances: two moments, or two times of every week."""

    start: WindowEnd
    end: WindowEnd


class PlanDefinition(_Table, frozen=True, kw_only=True):
    """A rollout's own plan; without `steps` the default ones."""

    approval: Literal["one", "auto"] = "one"
    steps: Annotated[tuple[StepDefinition, ...], Meta(max_length=50)] = ()
    margins: MarginsDefinition = MarginsDefinition()
    strict: bool = False
    """Whether satisfaction has to be at least base's, without a margin."""
    safety_users: AtLeast = 100
    safety_requests: AtLeast = 500
    start_at: Moment | None = None
    freeze: Annotated[tuple[FreezeDefinition, ...], Meta(max_length=100)] = ()
