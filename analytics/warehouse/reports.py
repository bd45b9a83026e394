"""The warehouse's reports: a question of `queries/`, and the figures that come of the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from analytics.comparison import Comparison, LeftOut, arm_figures, differences
from analytics.warehouse.database import Answers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class Narrowing(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests alone; None: all. Times in microseconds since 1970 UTC, `since` inclusive, `until` exclusive."""

    step: int | None = None
    endpoint: str | None = None
    since: int | None = None
    until: int | None = None


EVERYTHING = Narrowing()


def compare(warehouse: Answers, rollout: str, generation: int, *, as_of: int, to: Narrowing = EVERYTHING) -> Comparison:
    """Return the head-to-head table of a generation of a rollout, narrowed `to` some requests.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    span = {"since": _moment(to.since), "until": _moment(to.until)}
    asked = {"rollout": rollout, "generation": generation, "step": to.step, "endpoint": to.endpoint, **span}
    base, candidate = warehouse.ask("compare", asked)
    rows = [row for row in (base, candidate) if row["requests"]]
    return Comparison(
        rollout=rollout,
        generation=generation,
        **msgspec.structs.asdict(to),
        endpoints={one["endpoint"]: one["requests"] for one in base["endpoints"] or ()},
        as_of=as_of,
        first_at=min((_micros(row["first_at"]) for row in rows), default=None),
        last_at=max((_micros(row["last_at"]) for row in rows), default=None),
        first_step=min((row["first_step"] for row in rows if row["first_step"] is not None), default=None),
        last_step=max((row["last_step"] for row in rows if row["last_step"] is not None), default=None),
        percent_low=min((float(row["percent_low"]) for row in rows if row["percent_low"] is not None), default=None),
        percent_high=max((float(row["percent_high"]) for row in rows if row["percent_high"] is not None), default=None),
        left_out=LeftOut(**{name: base[f"left_out_{name}"] for name in LeftOut.__struct_fields__}),
        base=arm_figures(base),
        candidate=arm_figures(candidate),
        difference=differences(base, candidate),
    )


def _moment(micros: int | None) -> datetime | None:
    """Return a time as the lake has it: UTC, without a zone in the type."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def _micros(moment: Any) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
