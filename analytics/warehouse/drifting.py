"""The monitor's figure of each check at its past midnights: asked piece by piece, since users' days are many.

What users had gained by a midnight stands; what they gained since grows. So an answer stays good for a quarter of the
step's day, and each fold asks for as many as fit into a moment, the oldest first: a look never waits for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

import duckdb

from analytics.drift import drift
from analytics.evidence import Check, StepWindow
from analytics.warehouse.looking import MEASURED, checks_of
from analytics.warehouse.views import text_of

MOMENT_S = 0.1
"""A fold goes on asking for so long."""
_US = 1_000_000
_PARTS_OF_DAY = 4
_Place = tuple[int, Check, int]
"""A step, a check, a midnight."""
_Answer = tuple[int, float | None]
"""When it was asked (microseconds), and the correlation."""


class Drifting:
    """Asks the tables of `connection`, and keeps the answers; `monotonic` gives seconds."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._connection, self._monotonic = connection, monotonic
        self._windows: dict[int, StepWindow] = {}
        self._known: dict[_Place, _Answer] = {}

    def drift(self, window: StepWindow, step_id: int) -> Mapping[Check, float | None]:
        """Return each check's lowest correlation over past midnights, None as long as none is known; go on asking."""
        self._windows[step_id] = window
        return {check: self._lowest(step_id, check) for check in checks_of(window)}

    def go_on(self, now: int, followed: Collection[int]) -> None:
        """Ask for a moment, the oldest answers first, of the steps that were looked at and are followed still."""
        self._windows = {step_id: window for step_id, window in self._windows.items() if step_id in followed}
        self._known = {place: answer for place, answer in self._known.items() if place[0] in self._windows}
        give_up_s = self._monotonic() + MOMENT_S
        for place in sorted(self._due(now), key=self._asked_at):
            self._known[place] = (now, self._ask(*place))
            if self._monotonic() >= give_up_s:
                return

    def forget(self, step_id: int) -> None:
        """Forget the answers about a step whose rows were added up anew."""
        self._known = {place: answer for place, answer in self._known.items() if place[0] != step_id}

    def _due(self, now: int) -> set[_Place]:
        due: set[_Place] = set()
        for step_id, window in self._windows.items():
            day_us = max(1, round(window.day_s * _US))
            midnights = range(window.started_at // day_us + 1, now // day_us + 1)
            places: set[_Place] = {(step_id, check, midnight) for check in checks_of(window) for midnight in midnights}
            due |= {place for place in places if now - self._asked_at(place) >= day_us // _PARTS_OF_DAY}
        return due

    def _lowest(self, step_id: int, check: Check) -> float | None:
        known = [rho for (step, what, _), (_, rho) in self._known.items() if (step, what) == (step_id, check)]
        return min((rho for rho in known if rho is not None), default=None)

    def _asked_at(self, place: _Place) -> int:
        return self._known.get(place, (0, None))[0]

    def _ask(self, step_id: int, check: Check, midnight: int) -> float | None:
        measure = MEASURED[check]
        statement = text_of("evidence_drift").format(n=measure.n, x=measure.x)
        rows = self._connection.execute(statement, {"step": step_id, "midnight": midnight}).fetchall()
        arms = {arm: (weight, sums) for arm, weight, *sums in rows}
        if len(arms) < 2:
            return None
        g = arms["candidate"][0] / arms["base"][0]
        before, since, product = (
            of_candidate + g * g * of_base
            for of_candidate, of_base in zip(arms["candidate"][1], arms["base"][1], strict=True)
        )
        return drift(before=before, since=since, product=product)
