"""The head-to-head table of one rollout's arms: what each figure is made of, and its interval. Pure.

SQL counts; here it becomes figures (`figures.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from analytics.figures import Difference, Figure, ratio_difference, ratio_figure, sums_of, total_interval
from analytics.freshness import UNKNOWN, Freshness
from analytics.inversion import quantile_difference, quantile_figure
from analytics.record import Purpose

RATIOS = ("error_rate", "output_tokens", "output_token_ms", "cost_usd", "satisfaction", "response_rate")
"""Figures that are a sum over a count, and so have an interval."""

_SHARES = frozenset({"error_rate", "satisfaction", "response_rate"})
QUANTILES = {"latency_p50_ms": 0.5, "latency_p99_ms": 0.99, "ttft_p50_ms": 0.5}
"""Figures that are a quantile: at which level."""


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one arm did. `docs/reports.md` says how each figure is computed; `model` is the one that mostly answered.

    `failures` counts the errors by their class, the most frequent first. `cost_unknown` counts requests that may have
    cost something nobody knows: they are in no cost figure. `output_token_ms` is of as many tokens.
    `total_cost_interval_usd`: what as many users drawn anew would cost together, in 95 of 100 cases.
    """

    model: str | None
    requests: int
    users: int
    errors: int
    error_rate: Figure
    latency_p50_ms: Figure
    latency_p99_ms: Figure
    ttft_p50_ms: Figure
    output_tokens: Figure
    cost_usd: Figure
    total_cost_usd: float | None
    cost_unknown: int
    ratings: int
    satisfaction: Figure
    response_rate: Figure
    failures: dict[str, int] = {}
    output_token_ms: Figure = Figure(value=None, of=0)
    total_cost_interval_usd: tuple[float, float] | None = None


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of the same rollout, generation and time that are in no figure.

    `forced`: users pinned to an arm; `without_user`: no user key, or everybody was forced to base; `not_live`: made for
    another purpose than the one asked for.
    """

    forced: int
    without_user: int
    not_live: int


class Arms(msgspec.Struct, frozen=True, kw_only=True):
    """Both arms, and their differences by the name of the figure."""

    base: ArmFigures
    candidate: ArmFigures
    difference: dict[str, Difference]


class Comparison(Arms, frozen=True, kw_only=True):
    """Both arms of one generation of a rollout, each request counting for the arm that it was assigned.

    Times are microseconds since 1970 UTC: `since` (inclusive) and `until` (exclusive) as asked for, `first_at` and
    `last_at` of the requests in it, `as_of` when it was asked for; `freshness` is up to when it has everything. `step`,
    `phase`, `application`, `endpoint`, `tags`: those asked for, None or empty: all; `endpoints` counts both arms'
    requests by endpoint, the most first. The requests are of the steps `first_step` to `last_step`, and the candidate's
    percentage was `percent_low` to `percent_high`. Where the report is divided, `part` is the value that these requests
    have in common (None: they have none). `as_treated`: the same requests by the arm that served, if asked for.
    """

    rollout: str
    generation: int
    step: int | None
    endpoint: str | None
    endpoints: dict[str, int]
    since: int | None
    until: int | None
    as_of: int
    first_at: int | None
    last_at: int | None
    first_step: int | None
    last_step: int | None
    percent_low: float | None
    percent_high: float | None
    left_out: LeftOut
    phase: str | None = None
    application: str | None = None
    tags: tuple[str, ...] = ()
    purpose: Purpose = "live"
    forced: bool = False
    by: str | None = None
    part: str | None = None
    as_treated: Arms | None = None
    freshness: Freshness = UNKNOWN


def arms(base: Mapping[str, Any], candidate: Mapping[str, Any]) -> Arms:
    """Return both arms and their differences, from their rows of `queries/compare.sql`."""
    return Arms(base=arm_figures(base), candidate=arm_figures(candidate), difference=differences(base, candidate))


def arm_figures(row: Mapping[str, Any]) -> ArmFigures:
    """Return one arm's figures from its row of `queries/compare.sql`."""
    ratios = {name: ratio_figure(sums_of(row, name), is_share=name in _SHARES) for name in RATIOS}
    return ArmFigures(
        model=row["model"],
        requests=row["requests"],
        users=row["users"],
        errors=row["errors"],
        failures={one["error_class"]: one["requests"] for one in row["failures"] or ()},
        total_cost_usd=row["total_cost_usd"],
        total_cost_interval_usd=total_interval(sums_of(row, "cost_usd")),
        cost_unknown=row["cost_unknown"],
        ratings=row["ratings"],
        **_quantiles(row),
        **ratios,
    )


def differences(base: Mapping[str, Any], candidate: Mapping[str, Any]) -> dict[str, Difference]:
    """Return candidate minus base for every figure, from both arms' rows of `queries/compare.sql`."""
    both, others = _quantiles(base), _quantiles(candidate)
    quantiles = {name: quantile_difference(both[name], others[name]) for name in QUANTILES}
    return quantiles | {name: ratio_difference(sums_of(base, name), sums_of(candidate, name)) for name in RATIOS}


def _quantiles(row: Mapping[str, Any]) -> dict[str, Figure]:
    return {
        name: quantile_figure(level, row[f"{name}_grid"], row[f"{name}_of"], sums_of(row, name))
        for name, level in QUANTILES.items()
    }
