"""Base's last whole days, as a forecast reads them: added up once, in memory, by the same rules as a step's rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import duckdb
import msgspec

from analytics.evidence import Check, CheckSums, StepWindow
from analytics.forecast import Week, week_of
from analytics.lake.store import Store
from analytics.quantile import GRID
from analytics.warehouse.base_week import DAY_US, DAYS
from analytics.warehouse.evidence_tables import LATENCIES, in_memory
from analytics.warehouse.folded_files import FoldedFiles
from analytics.warehouse.folding import AGAIN, Folding
from analytics.warehouse.followed import Followed
from analytics.warehouse.looking import MEASURED, Looking, checks_of
from analytics.warehouse.near_files import NearFiles
from analytics.warehouse.views import text_of

_ROWS = """(
    SELECT * REPLACE (0::INTEGER AS step, 0::DECIMAL(5, 2) AS percent) FROM requests
    WHERE started_at >= make_timestamp({since}) AND started_at < make_timestamp({until})
)"""
_FIRST = """
SELECT epoch_us(min(started_at)) FROM requests
WHERE rollout = $rollout AND generation = $generation AND arm_assigned = 'base' AND purpose = 'live'
    AND started_at >= make_timestamp($since) AND started_at < make_timestamp($until)
"""
_SHARE = "SELECT count(*) FILTER (WHERE arm = 'base') / count(*) FROM evidence_user WHERE step_id = $step"
_LOWEST = -(len(GRID) // 2)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which base, before which moment (microseconds), by which Q0 in milliseconds, and which feedback counts."""

    rollout: str
    generation: int
    before: int
    latencies: Mapping[Check, float]
    rating: Literal["thumb", "rating"] = "thumb"


def weeks(store: Store, asked: Asked) -> Mapping[Check, Week]:
    """Return what each check was like on base's last whole days (UTC), seven at most; nothing of what was too rare.

    The first day that base has is left out unless it is the seventh: nobody knows when on it base began.

    Raises:
        duckdb.Error, OSError: the lake cannot be read.
    """
    with in_memory(store) as connection:
        files = FoldedFiles(connection, store, NearFiles(store))
        files.news()
        return _weeks(connection, Folding(connection, store, files), asked)


def _weeks(connection: duckdb.DuckDBPyConnection, folding: Folding, asked: Asked) -> Mapping[Check, Week]:
    until = asked.before // DAY_US * DAY_US
    folding.make_views()
    which = {"rollout": asked.rollout, "generation": asked.generation, "since": max(0, until - DAYS * DAY_US)}
    [(first_at,)] = connection.execute(_FIRST, {**which, "until": until}).fetchall()
    if first_at is None:
        return {}
    oldest = until - DAYS * DAY_US
    since = oldest if first_at < oldest + DAY_US else (first_at // DAY_US + 1) * DAY_US
    if since >= until:
        return {}
    window = StepWindow(
        rollout=asked.rollout,
        generation=asked.generation,
        step=0,
        percent=0.0,
        started_at=since,
        thresholds={check: (q0, q0) for check, q0 in asked.latencies.items()},
        rating=asked.rating,
    )
    step_id = Followed(connection).follow(window)
    folding.fold_whole(step_id, _ROWS.format(since=since, until=until))
    [(share,)] = connection.execute(_SHARE, {"step": step_id}).fetchall()
    if not share:
        return {}
    days = range(since // DAY_US, until // DAY_US)
    found: dict[Check, Week | None] = {
        check: _week(connection, window, check, step_id, days, share) for check in checks_of(window)
    }
    return {check: week for check, week in found.items() if week is not None}


def _week(
    connection: duckdb.DuckDBPyConnection, window: StepWindow, check: Check, step_id: int, days: range, share: float
) -> Week | None:
    looking, measure = Looking(connection), MEASURED[check]
    whole = looking.sums(step_id, measure)
    each = [
        looking.sums(step_id, measure, f"(FROM evidence_user_day WHERE day = {day}) AS of_day").base for day in days
    ]
    slower = _slower(connection, window, check, step_id, whole) if check in LATENCIES else None
    return week_of(whole.base, each, base_share=share, slower=slower)


def _slower(
    connection: duckdb.DuckDBPyConnection, window: StepWindow, check: Check, step_id: int, whole: CheckSums
) -> Mapping[float, float] | None:
    """Return which share (0-1) of base's requests waited longer than r·Q0, by r."""
    wait = "first_ms" if check == "ttft" else "waited_ms"
    statement = text_of("evidence_slower").format(rows=AGAIN, n=f"{check}_n", wait=wait)
    values = {"step": step_id, "cap": whole.cap, "q0": window.thresholds[check][0]}
    weights = dict(connection.execute(statement, values).fetchall())
    total = whole.base.x.n
    if not total:
        return None
    return {
        factor: sum(weight for step, weight in weights.items() if step >= at) / total
        for at, factor in enumerate(GRID, start=_LOWEST)
    }
