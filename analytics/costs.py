"""What requests cost: how a total is divided, and how much of it nobody knows. Pure.

SQL counts; here it becomes figures. A cost that nobody knows is never 0: it is counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from analytics.freshness import UNKNOWN, Freshness
from analytics.narrowing import Narrowing, micros_of
from analytics.parts import places
from analytics.projection import Projection, project

Row = Mapping[str, Any]


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What the requests of one `name` cost (None: they have none, or these are all).

    `cost_usd` is the sum of the `priced` ones, `cost_per_request_usd` their mean; None where there are none.
    `cost_unknown` counts those that may have cost something nobody knows; `unknown_share` (0-1) is of both together.
    """

    name: str | None
    requests: int
    priced: int
    cost_usd: float | None
    cost_per_request_usd: float | None
    cost_unknown: int
    unknown_share: float | None


class DealtSpent(Spent, frozen=True, kw_only=True):
    """What a part of one rollout's traffic cost, by how its arm came about.

    Names: `base` and `candidate`, of users whom the split placed, by the arm that was assigned; `forced`: pinned users;
    `without_user`: no user key, or everybody was forced to base; None: traffic of no rollout.
    """

    rollout: str | None
    generation: int | None


class PartSpent(Spent, frozen=True, kw_only=True):
    """What one part of a divided report cost, by how the `arm` came about, whichever rollout's: see `DealtSpent`."""

    arm: str | None


class UnknownCost(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of unknown cost at one model (None: none is known to have answered), for one `reason` (docs/cost.md)."""

    reason: str | None
    model: str | None
    requests: int


class CostReport(msgspec.Struct, frozen=True, kw_only=True):
    """What requests cost, the dearest part first (days in their order, UTC), and what a month would.

    `parts`: the same by what the report is divided `by`, if it is. `left_out`: by purpose, or `forced`, requests that
    were not asked about. Times are microseconds since 1970 UTC.
    """

    asked: Narrowing
    as_of: int
    first_at: int | None
    last_at: int | None
    total: Spent
    arms: Sequence[DealtSpent]
    days: Sequence[Spent]
    applications: Sequence[Spent]
    models: Sequence[Spent]
    by: str | None
    parts: Sequence[PartSpent]
    unknown: Sequence[UnknownCost]
    left_out: Sequence[Spent]
    projections: Sequence[Projection]
    freshness: Freshness = UNKNOWN


_NOTHING: Row = {"name": None, "requests": 0, "priced": 0, "cost_usd": None, "cost_unknown": 0}


def cost_report(
    rows: Iterable[Row], *, asked: Narrowing, as_of: int, present: Mapping[str, int], by: str | None = None
) -> CostReport:
    """Return the report that the rows of `queries/cost.sql` make; `present`: the rollouts' generations to project."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row["kind"], []).append(row)
    total = kinds.get("total", [_NOTHING])[0]
    dealt = kinds.get("dealt", [])
    return CostReport(
        asked=asked,
        as_of=as_of,
        first_at=micros_of(total["first_at"]) if "first_at" in total else None,
        last_at=micros_of(total["last_at"]) if "last_at" in total else None,
        total=Spent(**_figures(total)),
        arms=[DealtSpent(rollout=row["of"], generation=row["generation"], **_figures(row)) for row in dealt],
        days=[Spent(**_figures(row)) for row in sorted(kinds.get("day", []), key=lambda row: row["name"])],
        applications=_spent(kinds.get("application", [])),
        models=_spent(kinds.get("model", [])),
        by=by,
        parts=_parts(kinds.get("part", []), by),
        unknown=[
            UnknownCost(reason=row["name"] or None, model=row["of"], requests=row["requests"])
            for row in sorted(kinds.get("unknown", []), key=lambda row: -row["requests"])
        ],
        left_out=_spent(kinds.get("left_out", [])),
        projections=_projections(dealt, asked, present),
    )


def _projections(dealt: Sequence[Row], asked: Narrowing, present: Mapping[str, int]) -> list[Projection]:
    """Return a projection of the rollout that is asked about, or of each that the split sent requests of."""
    arms: dict[tuple[str, int], dict[str, Row]] = {}
    for row in dealt:
        if row["users"]:
            arms.setdefault((row["of"], row["generation"]), {})[row["name"]] = row
    if asked.rollout is not None and asked.generation is not None:
        wanted = [(asked.rollout, asked.generation)]
    else:
        wanted = [one for one in sorted(present.items()) if one in arms]
    return [project(rollout, generation, arms.get((rollout, generation), {})) for rollout, generation in wanted]


def _parts(rows: Iterable[Row], by: str | None) -> list[PartSpent]:
    """Return the parts as people look for them; of each part the arms in the order of their names."""
    found = [PartSpent(arm=row["of"], **_figures(row)) for row in rows]
    order = places(((one.name, one.cost_usd or 0.0) for one in found), by)
    return sorted(found, key=lambda one: (order[one.name], one.arm is None, one.arm or ""))


def _spent(rows: Iterable[Row]) -> list[Spent]:
    """Return the dearest first."""
    return sorted((Spent(**_figures(row)) for row in rows), key=lambda one: (-(one.cost_usd or 0), -one.requests))


def _figures(row: Row) -> dict[str, Any]:
    priced, unknown = row["priced"], row["cost_unknown"]
    billable = priced + unknown
    return {
        "name": row["name"],
        "requests": row["requests"],
        "priced": priced,
        "cost_usd": row["cost_usd"],
        "cost_per_request_usd": row["cost_usd"] / priced if priced else None,
        "cost_unknown": unknown,
        "unknown_share": unknown / billable if billable else None,
    }
