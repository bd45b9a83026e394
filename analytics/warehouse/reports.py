"""The warehouse's reports: a question of `queries/`, and the figures that come of the answer.

Every report is narrowed and divided alike: its question reads from the macros `narrowed` or `arms`, whose parameter
`asked` is what `sql_struct` makes of a `Narrowing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from analytics.comparison import QUANTILES, Arms, Comparison, LeftOut, arms
from analytics.inversion import MIDDLE
from analytics.narrowing import EVERYTHING, Narrowing, micros_of, sql_struct
from analytics.satisfaction import Satisfaction
from analytics.warehouse.database import Answers
from analytics.warehouse.waits import grids_of

Row = Mapping[str, Any]
Pair = tuple[Row, Row]
"""What a question tells of base and of candidate."""

Table = TypeVar("Table", Comparison, Satisfaction)

IN_ORDER = ("day", "hour", "step")
"""Parts of these stand in their own order, others the most requests first."""


def compare(
    warehouse: Answers,
    rollout: str,
    generation: int,
    *,
    as_of: int,
    to: Narrowing = EVERYTHING,
    as_treated: bool = False,
) -> Comparison:
    """Return the head-to-head table of a generation of a rollout, narrowed `to` some requests.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    whole = msgspec.structs.replace(to, rollout=rollout, generation=generation)
    [pair] = _compared(warehouse, asked(whole)).values()
    treated = next(iter(_compared(warehouse, asked(whole, as_treated=True)).values())) if as_treated else None
    return _comparison(whole, pair, as_of=as_of, treated=treated)


def compare_by(
    warehouse: Answers,
    rollout: str,
    generation: int,
    by: str,
    *,
    as_of: int,
    to: Narrowing = EVERYTHING,
    as_treated: bool = False,
) -> list[Comparison]:
    """Return such a table for each part of the requests that has any: see `narrowing.BY`.

    Raises:
        WarehouseError: the lake gives no answer.
        BadNarrowingError: nothing is divided so.
    """
    whole = msgspec.structs.replace(to, rollout=rollout, generation=generation)
    found = _compared(warehouse, asked(whole, by))
    treated = _compared(warehouse, asked(whole, by, as_treated=True)) if as_treated else None
    tables = [
        _comparison(
            whole,
            pair,
            as_of=as_of,
            by=by,
            part=part,
            treated=None if treated is None else treated.get(part, _nobody(pair)),
        )
        for part, pair in found.items()
    ]
    return in_order([one for one in tables if one.base.requests or one.candidate.requests], by)


def values(warehouse: Answers, what: str, to: Narrowing, *, first: str | None, most: int) -> list[str]:
    """Return the values of that by which a report can be divided (or `tag`: names of tags), the most frequent first.

    `first` comes before all others, if it is there.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    question, by = ("tag_names", None) if what == "tag" else ("values", what)
    parameters = {"asked": sql_struct(to, by), "wanted": first, "most": most}
    return [row["value"] for row in warehouse.ask(question, parameters)]


def asked(to: Narrowing, by: str | None = None, *, as_treated: bool = False) -> dict[str, object]:
    """Return the parameters of a question that reads the macro `arms`."""
    return {"asked": {**sql_struct(to, by), "as_treated": as_treated}}


def pairs(warehouse: Answers, question: str, parameters: Mapping[str, object]) -> dict[str | None, Pair]:
    """Return both arms' rows of a question, by the part of a divided report."""
    found: dict[str | None, list[Row]] = {}
    for row in warehouse.ask(question, parameters):
        found.setdefault(row["part"], []).append(row)
    return {part: (base, candidate) for part, (base, candidate) in found.items()}


def in_order(tables: Sequence[Table], by: str) -> list[Table]:
    """Return the tables of a divided report as people look for them."""
    if by == "step":
        return sorted(tables, key=lambda one: int(one.part or 0))
    if by in IN_ORDER:
        return sorted(tables, key=lambda one: one.part or "")
    return sorted(tables, key=lambda one: (-one.base.requests - one.candidate.requests, one.part or ""))


def _compared(warehouse: Answers, parameters: Mapping[str, object]) -> dict[str | None, Pair]:
    """Return both arms' rows of the head-to-head table, with the grids of their quantiles, by its part."""
    grids = grids_of(warehouse, parameters)
    waits = [{"arm": arm, **{name: one and one[MIDDLE] for name, one in each.items()}} for arm, each in grids.items()]
    found = pairs(warehouse, "compare", {**parameters, "waits": waits})

    def whole(row: Row) -> Row:
        each = grids.get(row["arm_and_part"], {})
        return {**row, **{f"{name}_grid": each.get(name) for name in QUANTILES}}

    return {part: (whole(base), whole(candidate)) for part, (base, candidate) in found.items()}


def _nobody(pair: Pair) -> Pair:
    """Return both arms' rows as they are where no arm served any request."""
    base, candidate = ({name: 0 if isinstance(value, int) else None for name, value in row.items()} for row in pair)
    return base, candidate


def _comparison(
    to: Narrowing,
    pair: Pair,
    *,
    as_of: int,
    by: str | None = None,
    part: str | None = None,
    treated: Pair | None = None,
) -> Comparison:
    base, rows = pair[0], [row for row in pair if row["requests"]]
    assigned = arms(*pair)
    percents = [row[name] for row in rows for name in ("percent_low", "percent_high") if row[name] is not None]
    steps = [row[name] for row in rows for name in ("first_step", "last_step") if row[name] is not None]
    return Comparison(
        **{name: getattr(to, name) for name in Narrowing.__struct_fields__},
        **{name: getattr(assigned, name) for name in Arms.__struct_fields__},
        by=by,
        part=part,
        endpoints={one["endpoint"]: one["requests"] for one in base["endpoints"] or ()},
        as_of=as_of,
        first_at=min((micros_of(row["first_at"]) for row in rows), default=None),
        last_at=max((micros_of(row["last_at"]) for row in rows), default=None),
        first_step=min(steps, default=None),
        last_step=max(steps, default=None),
        percent_low=float(min(percents)) if percents else None,
        percent_high=float(max(percents)) if percents else None,
        left_out=LeftOut(**{name: base[f"left_out_{name}"] or 0 for name in LeftOut.__struct_fields__}),
        as_treated=None if treated is None else arms(*treated),
    )
