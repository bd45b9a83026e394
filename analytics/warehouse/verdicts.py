"""Thumbs and ratings to sums over users. Owns how a verdict meets its request, however late it comes.

Most are about a request of the last hour, which is at hand. The others wait, and now and then all of them are looked
for in the lake, by the time that is in the request's id: in those files alone whose ids begin and end around it. The
rules are those of `queries/feedback.sql`: the request's own application, within 48 hours, the newest.
"""

from __future__ import annotations

import duckdb

from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.once import KINDS, rows_of
from analytics.lake.store import Store
from analytics.warehouse.adding import add_gained
from analytics.warehouse.evidence_tables import NEEDED_OF, SAID_MEASURES
from analytics.warehouse.gate_rows import gate_of
from analytics.warehouse.views import text_of

LOOK_S = 60.0
"""How often the lake is looked through for requests of verdicts that wait."""
_RECENT = "evidence_recent"
_NEW = """
INSERT INTO evidence_waiting
SELECT said.*, make_timestamp($now) AS added_at, false AS is_looked_for
FROM said ANTI JOIN evidence_waiting USING (feedback_id)
"""
_OVER = "DELETE FROM evidence_waiting WHERE added_at < make_timestamp($now) - INTERVAL 7 DAY"
_FOUND = """
CREATE OR REPLACE TEMP TABLE found AS
SELECT * FROM ({found})
QUALIFY count(DISTINCT request_id) OVER (PARTITION BY feedback_id) = 1
"""
_AROUND = """
WITH bounds AS (
    SELECT request_id AS low, request_id AS high FROM evidence_waiting
    WHERE NOT is_looked_for AND request_id IS NOT NULL
    UNION
    SELECT {first}, {last} FROM evidence_waiting WHERE NOT is_looked_for AND request_id IS NULL
)
SELECT DISTINCT name
FROM evidence_file AS file JOIN bounds ON file.first_id <= bounds.high AND bounds.low <= file.last_id
WHERE kind = $kind
"""
_ID_OF_TIME = "(printf('%012x', greatest(0, epoch_us(received_at) // 1000 {shift})) || repeat('{digit}', 20))::UUID"
_MET = """
CREATE OR REPLACE TEMP TABLE met AS
WITH wanted AS (FROM evidence_waiting WHERE NOT is_looked_for)
SELECT * FROM ({rows}) AS rows
WHERE request_id IN (SELECT request_id FROM wanted)
    OR response_id IN (SELECT response_id FROM wanted WHERE request_id IS NULL)
QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY {doubles}) = 1
"""
_MET_ELSEWHERE = """
DELETE FROM evidence_waiting
WHERE request_id IN (SELECT request_id FROM met)
    OR request_id IS NULL AND response_id IN (SELECT response_id FROM met)
"""
_DOUBTFUL = """
DELETE FROM evidence_waiting
WHERE request_id IS NULL AND response_id IN (SELECT response_id FROM met GROUP BY response_id HAVING count(*) > 1)
"""


class Verdicts:
    """Adds verdicts up in the tables of `connection`; each call is part of a transaction of the caller's."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, store: Store) -> None:
        self._connection, self._store = connection, store

    def take(self, rows: str, *, now: int) -> None:
        """Take the verdicts among some pieces of feedback; `now` is microseconds since 1970 UTC."""
        said = text_of("evidence_verdicts").format(rows=rows)
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE said AS {said}")
        self._connection.execute(_NEW, {"now": now})
        self.meet(_RECENT)

    def meet(self, rows: str) -> None:
        """Let the verdicts that wait meet some gate rows."""
        if self._is_empty("evidence_waiting"):
            return
        found = text_of("evidence_found").format(rows=rows, verdicts="evidence_waiting")
        self._connection.execute(_FOUND.format(found=found))
        if not self._is_empty("found"):
            self._count_found()
            self._connection.execute(
                "DELETE FROM evidence_waiting WHERE feedback_id IN (SELECT feedback_id FROM found)"
            )

    def meet_lake(self, *, now: int) -> None:
        """Let those that wait, and were not looked for, meet their requests in the files that were folded."""
        ask = self._connection.execute
        ask(_OVER, {"now": now})
        first = _ID_OF_TIME.format(shift=f"- {48 * 3600 * 1000}", digit="0")
        last = _ID_OF_TIME.format(shift="", digit="f")
        names = [name for (name,) in ask(_AROUND.format(first=first, last=last), {"kind": INCOMING}).fetchall()]
        if names:
            kind = KINDS[INCOMING]
            rows = NEEDED_OF.format(rows=rows_of(self._store.address, kind, names))
            ask(_MET.format(rows=rows, doubles=kind.doubles))
            ask(_DOUBTFUL)
            ask(f"CREATE OR REPLACE TEMP TABLE met_gate AS {gate_of('met')}")
            self.meet("met_gate")
            ask(_MET_ELSEWHERE)
        ask("UPDATE evidence_waiting SET is_looked_for = true WHERE NOT is_looked_for")

    @property
    def is_looking(self) -> bool:
        """Tell whether any verdict was not looked for in the lake."""
        [(count,)] = self._connection.execute(
            "SELECT count(*) FROM evidence_waiting WHERE NOT is_looked_for"
        ).fetchall()
        return count > 0

    def take_all(self, counted: str) -> None:
        """Take all verdicts about some gate rows for which none counts yet; the view of all feedback is there."""
        said = text_of("evidence_verdicts").format(rows=KINDS[FEEDBACK].name)
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW said_again AS {said}")
        self._connection.execute(
            _FOUND.format(found=text_of("evidence_found").format(rows=counted, verdicts="said_again"))
        )
        self._count_found()

    def _count_found(self) -> None:
        ask = self._connection.execute
        ask(f"CREATE OR REPLACE TEMP TABLE changes AS {text_of('evidence_newer').format(found='found')}")
        ask(f"CREATE OR REPLACE TEMP TABLE gained_day AS {text_of('evidence_said').format(changes='changes')}")
        add_gained(self._connection, SAID_MEASURES, has_times=False)
        ask("DELETE FROM evidence_rated WHERE (step_id, request_id) IN (SELECT (step_id, request_id) FROM changes)")
        ask("INSERT INTO evidence_rated SELECT * EXCLUDE (sign) FROM changes WHERE sign = 1")

    def _is_empty(self, table: str) -> bool:
        return self._connection.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]  # noqa: S608 - ours
