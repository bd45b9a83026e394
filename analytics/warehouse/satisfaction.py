"""The warehouse's report on satisfaction: the question of `queries/satisfaction.sql`, and the figures of its answer."""

from __future__ import annotations

from analytics.narrowing import Narrowing, micros_of
from analytics.satisfaction import Satisfaction, arm_satisfaction, differences
from analytics.warehouse.database import Answers
from analytics.warehouse.reports import Pair, asked, in_order, pairs


def satisfaction(warehouse: Answers, to: Narrowing, *, as_of: int) -> Satisfaction:
    """Return how users like the answers of both arms of a rollout's generation.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    [pair] = pairs(warehouse, "satisfaction", asked(to)).values()
    return _satisfaction(to, pair, as_of=as_of)


def satisfaction_by(warehouse: Answers, to: Narrowing, by: str, *, as_of: int) -> list[Satisfaction]:
    """Return the same for each part of the requests that has any: see `narrowing.BY`.

    Raises:
        WarehouseError: the lake gives no answer.
        BadNarrowingError: nothing is divided so.
    """
    found = pairs(warehouse, "satisfaction", asked(to, by))
    tables = [_satisfaction(to, pair, as_of=as_of, by=by, part=part) for part, pair in found.items()]
    return in_order([one for one in tables if one.base.requests or one.candidate.requests], by)


def _satisfaction(
    to: Narrowing, pair: Pair, *, as_of: int, by: str | None = None, part: str | None = None
) -> Satisfaction:
    rows = [row for row in pair if row["requests"]]
    return Satisfaction(
        **{name: getattr(to, name) for name in Narrowing.__struct_fields__},
        as_of=as_of,
        first_at=min((micros_of(row["first_at"]) for row in rows), default=None),
        last_at=max((micros_of(row["last_at"]) for row in rows), default=None),
        base=arm_satisfaction(pair[0]),
        candidate=arm_satisfaction(pair[1]),
        difference=differences(*pair),
        by=by,
        part=part,
    )
