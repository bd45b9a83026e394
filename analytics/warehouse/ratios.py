"""How much slower the candidate is, from the lake's rows themselves: by each factor of a grid, users as clusters.

The law: it is asked at looks and by people, never at a tick; in memory, so that nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from analytics.evidence import Check, StepWindow
from analytics.figures import ClusterSums
from analytics.lake.contents import contents
from analytics.lake.layout import INCOMING
from analytics.lake.once import KINDS, view_once
from analytics.lake.store import Store
from analytics.quantile import GRID
from analytics.warehouse.evidence_tables import NEEDED_OF, in_memory
from analytics.warehouse.followed import Followed
from analytics.warehouse.gate_rows import gate_of
from analytics.warehouse.views import text_of

_LOWEST = -(len(GRID) // 2)
_EARLY_US = 3_600_000_000
"""A request may have waited so long before it was given to an arm."""
_CANDIDATES = f"""
FROM {KINDS[INCOMING].name} WHERE arm_assigned = 'candidate' AND started_at >= make_timestamp($began::BIGINT)
"""


def slower(
    store: Store, window: StepWindow, caps: Mapping[Check, float]
) -> Mapping[Check, Mapping[float, ClusterSums]]:
    """Return the candidate's sums of 1{L > r·Q0} by the factors r of `GRID`, of each latency check under its cap.

    Nothing of a check that the window has no threshold of, or of which the candidate has no request.

    Raises:
        duckdb.Error, OSError: the lake cannot be read.
    """
    with in_memory(store) as connection:
        _make_view(connection, store, window)
        found: dict[Check, Mapping[float, ClusterSums]] = {}
        for check, cap in caps.items():
            if check in window.thresholds and (sums := _sums(connection, window, check, cap)):
                found[check] = sums
        return found


def _make_view(connection: duckdb.DuckDBPyConnection, store: Store, window: StepWindow) -> None:
    """Make the view of the rows that can be of the step: its own began after it did."""
    found = contents(store)[INCOMING]
    parts = [part for part in found.parts if part.last_at >= window.started_at - _EARLY_US]
    view_once(connection, store.address, KINDS[INCOMING], parts=parts, loose=sorted(found.loose))
    Followed(connection).follow(window)


def _sums(
    connection: duckdb.DuckDBPyConnection, window: StepWindow, check: Check, cap: float
) -> Mapping[float, ClusterSums] | None:
    gate = gate_of(f"({NEEDED_OF.format(rows=_CANDIDATES)})")
    q0 = window.thresholds[check][0]
    wait = "first_ms" if check == "ttft" else "waited_ms"
    statement = text_of("evidence_ratio").format(rows=f"({gate})", n=f"{check}_n", wait=wait)
    answer = connection.execute(statement, {"cap": cap, "q0": q0, "began": window.started_at - _EARLY_US})
    names = [column[0] for column in answer.description]
    rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    if not rows:
        return None
    return {factor: _beyond(rows, at) for at, factor in enumerate(GRID, start=_LOWEST)}


def _beyond(rows: list[dict[str, Any]], at: int) -> ClusterSums:
    """Return the sums of what waited longer than the factor at a place of the grid."""
    above = [row for row in rows if row["j"] >= at]
    return ClusterSums(
        users=rows[0]["users"],
        n=rows[0]["n"],
        nn=rows[0]["nn"],
        x=sum(row["x"] for row in above),
        xx=sum(row["xx"] for row in above),
        xn=sum(row["xn"] for row in above),
    )
