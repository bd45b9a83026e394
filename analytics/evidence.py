"""What one look at a step knows: counts, and sums over users for each arm. Pure; SQL adds up, the gate concludes.

Every metric is a badness: higher is worse. The unit is the user, the arm the assigned one, whatever served.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import msgspec

from analytics.figures import ClusterSums

Check = Literal["errors", "p50", "p99", "ttft", "satisfaction"]
"""What a gate may ask for."""

CHECKS: tuple[Check, ...] = get_args(Check)
LATENCY: frozenset[Check] = frozenset({"p50", "p99", "ttft"})
"""Checks whose x is 1{L > Q0} and y 1{L > r·Q0}."""

CAP_SHARE = 0.95
"""The cap is this quantile of base users' requests: one user in twenty counts for less than they asked."""

Kind = Literal["failure", "client_error"]
"""What fast kill counts users of."""


class StepWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows a step's evidence is made of, and by what they are measured.

    `percent` 0-100; `started_at` µs since 1970 UTC. `thresholds`: Q0 and r·Q0 in milliseconds for each latency check
    that applies. `rating`: which feedback counts. `hour_s`: fast kill's hour, `day_s` the monitor's day, `silence_s`
    how far back the recent rows of `Quality` reach, `settle_s` from when on rows of another percent count; short steps
    (a demonstration's) have shorter ones.
    """

    rollout: str
    generation: int
    step: int
    percent: float
    started_at: int
    thresholds: Mapping[Check, tuple[float, float]] = {}
    rating: Literal["thumb", "rating"] = "thumb"
    hour_s: float = 3600.0
    day_s: float = 86_400.0
    silence_s: float = 7200.0
    settle_s: float = 300.0


class ArmSums(msgspec.Struct, frozen=True, kw_only=True):
    """One arm of one check, over its users with n > 0.

    `requests` and `events` (x >= 0.5) are raw counts, for minima and for people; `x` are the sums under the cap
    (N_i = w_i·n_i, S_i = w_i·x_i), from which the gate computes; `y` the same of y, for latency alone.
    """

    requests: int
    events: int
    x: ClusterSums
    y: ClusterSums | None = None


class CheckSums(msgspec.Struct, frozen=True, kw_only=True):
    """Both arms of one check, and the `cap` (requests of one user that count in full, at least 1)."""

    cap: float
    base: ArmSums
    candidate: ArmSums


def cap_of(requests: Sequence[float]) -> float:
    """Return the cap from the requests (n > 0) of each base user: their 95 % quantile, interpolated, at least 1."""
    if not requests:
        return 1.0
    ordered = sorted(requests)
    place = CAP_SHARE * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return max(1.0, ordered[below] + (place - below) * (ordered[above] - ordered[below]))


def capped_sums(users: Iterable[tuple[float, float]], cap: float) -> ClusterSums:
    """Return the sums of users' (n, x), each user's n cut down to the `cap` and x in proportion.

    Users with n = 0 fall out. What the warehouse adds up in SQL, in plain Python: for tests and simulations.
    """
    kept = [(min(n, cap), x * min(1.0, cap / n)) for n, x in users if n > 0]
    return ClusterSums(
        users=len(kept),
        n=math.fsum(n for n, _ in kept),
        x=math.fsum(x for _, x in kept),
        xx=math.fsum(x * x for _, x in kept),
        xn=math.fsum(x * n for n, x in kept),
        nn=math.fsum(n * n for n, _ in kept),
    )


class FailingUsers(msgspec.Struct, frozen=True, kw_only=True):
    """Distinct users with at least one such event: since the step began, and within the present clock hour."""

    kind: Kind
    base: int = 0
    candidate: int = 0
    hour_base: int = 0
    hour_candidate: int = 0


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What the hold conditions read. Rows are gate rows of the step; users count once, at their first request.

    `crossed_rows`: served by the other arm without a `fallback_reason`. `crossed_users`: seen in both arms.
    `lost_rows`: gaps in (`worker`, `seq`) and counted losses, of `due_rows`. `unclosed_*`: never closed.
    `heartbeat_age_s`: age of the newest heartbeat of the live worker that is heard of least; None without a live
    worker. `quiet_*_s`: since the arm's last gate row, or the step's start. `recent_*_rows`: within the silence window
    (2 h). `mixed_rows`: with another percent than the step's, of `settled_rows`, both from `settle_s` after the
    step's start on.
    """

    base_users: int = 0
    candidate_users: int = 0
    base_rows: int = 0
    candidate_rows: int = 0
    crossed_rows: int = 0
    crossed_users: int = 0
    due_rows: int = 0
    lost_rows: int = 0
    disk_alarm: bool = False
    unclosed_base: int = 0
    unclosed_candidate: int = 0
    heartbeat_age_s: float | None = None
    quiet_base_s: float = 0.0
    quiet_candidate_s: float = 0.0
    recent_base_rows: int = 0
    recent_candidate_rows: int = 0
    mixed_rows: int = 0
    settled_rows: int = 0


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """Answers of base's (`ok` gate rows) within a step: how many, streamed, timed, and with a first token's time."""

    answers: int = 0
    streamed: int = 0
    timed: int = 0
    first_tokens: int = 0


class StepEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that a tick reads of a step. `as_of`: µs since 1970 UTC up to which records are in.

    `checks` lacks what does not apply (no satisfaction measured, too little streaming). `feedback`: rate of feedback
    among ok requests; `cost`: USD over requests with a known cost, of `costed_share_*` (0-1) of the arm's.
    `drift`: per check the monitor's ρ at its worst midnight, None before there is a past one. `fallback_share`: of the
    candidate's gate rows, 0-1. `net_*`: mean score over all ok requests (+1, -1, 0 without feedback).
    `inapplicable`: checks of which the step's own rows told that they do not apply (`ttft`: too little streaming).
    `ratios`: value, low and high of a latency's ratio, where raw rows were asked for it (at looks). `base_answered`:
    by what base is to tell how long answers take, where that is not known yet; None where nobody counted.
    """

    rollout: str
    generation: int
    step: int
    as_of: int
    checks: Mapping[Check, CheckSums] = {}
    feedback: CheckSums | None = None
    cost: CheckSums | None = None
    costed_share_base: float | None = None
    costed_share_candidate: float | None = None
    net_base: float | None = None
    net_candidate: float | None = None
    failing: tuple[FailingUsers, ...] = ()
    quality: Quality = Quality()
    drift: Mapping[Check, float | None] = {}
    fallback_share: float = 0.0
    inapplicable: tuple[Check, ...] = ()
    ratios: Mapping[Check, tuple[float, float, float]] = {}
    base_answered: Answered | None = None
