"""The monitor's figure of each check at its past midnights: asked piece by piece, since users' days are many.

What users had gained by a midnight stands; what they gained since grows. So an answer stays good for a twenty-fourth of
the step's day, and a look asks for as many as fit into a moment, the oldest first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import duckdb

from analytics.drift import drift
from analytics.evidence import Check, StepWindow
from analytics.warehouse.looking import MEASURED, checks_of
from analytics.warehouse.views import text_of

MOMENT_S = 0.1
"""A look goes on asking for so long."""
_US = 1_000_000
_PARTS_OF_DAY = 24
_Place = tuple[int, Check, int]
"""A step, a check, a midnight."""
_Answer = tuple[int, float | None]
"""When it was asked (microseconds), and the correlation."""


class Drifting:
    """Asks the tables of `connection`, and keeps the answers; `monotonic` gives seconds."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._connection, self._monotonic = connection, monotonic
        self._known: dict[_Place, _Answer] = {}

    def drift(self, window: StepWindow, step_id: int, now: int) -> Mapping[Check, float | None]:
        """Return each check's lowest correlation over past midnights; None where none is known yet."""
        day_us = max(1, round(window.day_s * _US))
        midnights = range(window.started_at // day_us + 1, now // day_us + 1)
        checks = checks_of(window)
        wanted: set[_Place] = {(step_id, check, midnight) for check in checks for midnight in midnights}
        self._known = {one: answer for one, answer in self._known.items() if one[0] != step_id or one in wanted}
        self._ask_some(sorted(wanted, key=self._asked_at), now, day_us // _PARTS_OF_DAY)
        return {check: self._lowest(step_id, check) for check in checks}

    def _lowest(self, step_id: int, check: Check) -> float | None:
        known = [rho for (step, what, _), (_, rho) in self._known.items() if (step, what) == (step_id, check)]
        return min((rho for rho in known if rho is not None), default=None)

    def _asked_at(self, one: _Place) -> int:
        return self._known.get(one, (-1, None))[0]

    def _ask_some(self, oldest_first: Sequence[_Place], now: int, good_us: int) -> None:
        give_up_s = self._monotonic() + MOMENT_S
        for one in oldest_first:
            asked_at = self._asked_at(one)
            if asked_at >= 0 and now - asked_at < good_us:
                return
            self._known[one] = (now, self._ask(*one))
            if self._monotonic() >= give_up_s:
                return

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
