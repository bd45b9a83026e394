"""What base did before a step, from the lake's rows themselves: asked once for a step, not at every look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from analytics.evidence import Answered, Check, StepWindow
from analytics.lake.contents import contents
from analytics.lake.layout import FEEDBACK
from analytics.lake.once import KINDS, view_once
from analytics.lake.store import Store
from analytics.references import LEAST_ROWS, BaseAnswers, References, counting, references_of
from analytics.warehouse.evidence_tables import LATENCIES
from analytics.warehouse.views import text_of

DAY_US = 86_400_000_000
DAYS = 7
"""So many days before a step say what base is like."""
_ENOUGH = """
SELECT
    coalesce(sum(feedback_n), 0) AS answers, coalesce(sum(streamed_n), 0) AS streamed,
    coalesce(sum(timed_n), 0) AS timed, coalesce(sum(first_n), 0) AS first_tokens
FROM evidence_user WHERE step_id = $step AND arm = 'base'
"""


class BaseWeek:
    """Asks the files of `store` on `connection`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, store: Store) -> None:
        self._connection, self._store = connection, store

    def references(self, rollout: str, generation: int, before: int) -> References:
        """Return what a step that begins at a moment (microseconds) is measured by: base's seven days before."""
        self._look()
        which = {
            "rollout": rollout,
            "generation": generation,
            "since": max(0, before - DAYS * DAY_US),
            "until": before,
        }
        said = text_of("evidence_verdicts").format(rows=KINDS[FEEDBACK].name)
        [kinds] = self._ask(text_of("evidence_kinds").format(said=said), which)
        return references_of(BaseAnswers(**self._answers(which), **kinds))

    def own_references(self, window: StepWindow, step_id: int) -> Mapping[Check, float | None]:
        """Return Q0 of the checks without thresholds of which the step's own base has enough; None: does not apply."""
        [counts] = self._ask(_ENOUGH, {"step": step_id})
        base = Answered(**counts)
        unknown: list[Check] = [check for check in LATENCIES if check not in window.thresholds]
        wanted: list[Check] = [check for check in unknown if counting(check, base) >= LEAST_ROWS]
        if not wanted:
            return {}
        self._look()
        which = {
            "rollout": window.rollout,
            "generation": window.generation,
            "since": 0,
            "until": 2**62,
            "step": window.step,
            "percent": window.percent,
        }
        found = references_of(BaseAnswers(**self._answers(which))).latencies
        return {check: found.get(check) for check in wanted}

    def _answers(self, which: Mapping[str, object]) -> dict[str, Any]:
        [row] = self._ask(text_of("evidence_base"), {"step": None, "percent": None, **which})
        return row

    def _look(self) -> None:
        """Make the views of all rows that the lake has now."""
        for folder, found in contents(self._store).items():
            view_once(
                self._connection, self._store.address, KINDS[folder], parts=found.parts, loose=sorted(found.loose)
            )

    def _ask(self, statement: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        answer = self._connection.execute(statement, dict(parameters))
        names = [column[0] for column in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
