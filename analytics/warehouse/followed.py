"""The steps that are followed: by what window each is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from analytics.evidence import StepWindow
from analytics.warehouse.evidence_tables import LATENCIES, TABLES

_US = 1_000_000
KEPT = 3
"""Steps of a rollout that are kept: no statistic crosses steps."""
_COLUMNS = (
    *("rollout", "generation", "step", "percent", "started_at", "day_us", "rating"),
    *(f"{check}_{what}" for check in LATENCIES for what in ("q0", "limit")),
)
_KEY = ("rollout", "generation", "step")
_AS_KEPT = {"percent": "$percent::DECIMAL(5, 2)", "started_at": "make_timestamp($started_at)"}
_GIVEN = {name: _AS_KEPT.get(name, f"${name}") for name in _COLUMNS}
"""How the value of each column is written of a window's."""
_FIND = "SELECT id FROM evidence_step WHERE {same}"
_INSERT = "INSERT INTO evidence_step (id, {columns}) SELECT coalesce(max(id), 0) + 1, {values} FROM evidence_step"
_OVER = "SELECT id FROM evidence_step WHERE rollout = $rollout ORDER BY id DESC OFFSET $kept"
_LOSSES_OVER = """
DELETE FROM evidence_loss
WHERE (rollout, generation, step) NOT IN (SELECT (rollout, generation, step) FROM evidence_step)
"""
_ALL = "SELECT id, rollout, generation, step FROM evidence_step ORDER BY rollout, generation, step"
_FORGET = "DELETE FROM evidence_{table} WHERE step_id = $step"


class Followed:
    """The table of steps in `connection`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._found: dict[tuple[str, int, int], tuple[StepWindow, int]] = {}

    def all(self) -> list[tuple[int, str, int, int]]:
        """Return the number, rollout, generation and step of each, in the order of these."""
        return self._connection.execute(_ALL).fetchall()

    def find(self, window: StepWindow) -> int | None:
        """Return the number of the step that is measured by just this window; None: it is not followed so."""
        key = (window.rollout, window.generation, window.step)
        known = self._found.get(key)
        if known is not None and known[0] == window:
            return known[1]
        step_id = next(iter(self._ids(window, _COLUMNS)), None)
        if step_id is not None:
            self._found[key] = window, step_id
        return step_id

    def changed(self) -> None:
        """Ask the table again: it has changed."""
        self._found = {}

    def follow(self, window: StepWindow) -> int:
        """Follow a step by this window in the place of any other, and return its number; it has no rows yet."""
        for former in self._ids(window, _KEY):
            self.forget(former)
            self._connection.execute("DELETE FROM evidence_step WHERE id = $step", {"step": former})
        insert = _INSERT.format(columns=", ".join(_COLUMNS), values=", ".join(_GIVEN.values()))
        self._connection.execute(insert, _values(window))
        for (over,) in self._connection.execute(_OVER, {"rollout": window.rollout, "kept": KEPT}).fetchall():
            self.forget(over)
            self._connection.execute("DELETE FROM evidence_step WHERE id = $step", {"step": over})
        self._connection.execute(_LOSSES_OVER)
        return self._ids(window, _KEY)[0]

    def forget(self, step_id: int) -> None:
        """Remove all rows of a step."""
        for table in TABLES:
            self._connection.execute(_FORGET.format(table=table), {"step": step_id})

    def _ids(self, window: StepWindow, names: Sequence[str]) -> list[int]:
        """Return the numbers of the steps that have these values of a window."""
        same = " AND ".join(f"{name} IS NOT DISTINCT FROM {_GIVEN[name]}" for name in names)
        values = {name: value for name, value in _values(window).items() if name in names}
        return [step_id for (step_id,) in self._connection.execute(_FIND.format(same=same), values).fetchall()]


def _values(window: StepWindow) -> dict[str, Any]:
    limits = {check: window.thresholds.get(check, (None, None)) for check in LATENCIES}
    return {
        "rollout": window.rollout,
        "generation": window.generation,
        "step": window.step,
        "percent": window.percent,
        "started_at": window.started_at,
        "day_us": max(1, round(window.day_s * _US)),
        "rating": window.rating,
        **{f"{check}_q0": limits[check][0] for check in LATENCIES},
        **{f"{check}_limit": limits[check][1] for check in LATENCIES},
    }
