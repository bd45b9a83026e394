"""The plan: which percent for how long, and what its gate demands; frozen when a step begins. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from analytics.evidence import Check
from rollout.audit import canonical

Phase = Literal["certificate", "canary", "beta", "ga"]
Gate = Literal["certificate", "canary", "beta", "ga"]
Approval = Literal["one", "auto"]

DAY_S = 86_400.0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the candidate's `percent` (0-100) for `dwell_s` seconds of running time, None for without end."""

    phase: Phase
    percent: float
    dwell_s: float | None
    gate: Gate


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """What a check tolerates and how much it must have seen.

    Rates: R* = (1 + `relative`)·R_b + `absolute`; latency: `ratio` times base's quantile. `min_users` and
    `min_requests` are the candidate's, for a pass. `alpha` is its share of false rollbacks within one row.
    """

    relative: float = 0.0
    absolute: float = 0.0
    ratio: float = 1.0
    min_users: int = 100
    min_requests: int = 1000
    alpha: float = 0.002


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout's rows in order, and for each check its margin."""

    rows: tuple[Row, ...]
    margins: Mapping[Check, Margin]
    approval: Approval = "one"


class FrozenStep(msgspec.Struct, frozen=True, kw_only=True):
    """What a step is judged by, from its first moment to its last.

    `row` is the plan's, `row_number` its place from 0, `is_proof` whether it is the last of its phase. `references`:
    Q0 in milliseconds of each latency check, None while unknown (the step's own are taken then, once), and `ttft`
    missing where it does not apply. `rating`: which feedback counts. `started_at`: µs since 1970 UTC.
    """

    rollout: str
    generation: int
    step: int
    row_number: int
    row: Row
    is_proof: bool
    margins: Mapping[Check, Margin]
    fast_kill_alpha: float
    references: Mapping[Check, float | None] = {}
    rating: Literal["thumb", "rating"] = "thumb"
    started_at: int = 0

    @property
    def digest(self) -> str:
        """The sha256, in hex, of the step's canonical JSON."""
        return hashlib.sha256(canonical(msgspec.to_builtins(self))).hexdigest()
