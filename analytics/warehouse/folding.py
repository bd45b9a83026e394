"""Rows of the lake to sums over users. Owns how the tables of the evidence change; `evidence.py` says when.

Every call is one transaction of the caller's: what is added up and the note of it are there together, or neither is.
"""

from __future__ import annotations

from collections.abc import Collection

import duckdb

from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.once import KINDS, view_once
from analytics.lake.store import Store
from analytics.warehouse.adding import add_gained, put
from analytics.warehouse.evidence_tables import NEEDED_OF, ROW_MEASURES
from analytics.warehouse.folded_files import FoldedFiles, Heap
from analytics.warehouse.gate_rows import gate_of
from analytics.warehouse.verdicts import Verdicts
from analytics.warehouse.views import text_of

_FRESH, _COUNTED = "fresh", "counted"
AGAIN = "counted_again"
"""The view of the gate rows that `fold_whole` added up."""
_TABLE = "CREATE OR REPLACE TEMP TABLE {name} AS {rows}"
_FOLLOWED = "{rows} WHERE rollout IN (SELECT rollout FROM evidence_step)"
_DOUBLED = "SELECT count(*) > count(DISTINCT {key}) FROM {name}"
_ONCE = "FROM {name} QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {doubles}) = 1"
_VIEW = "CREATE OR REPLACE TEMP VIEW {name} AS {gate} WHERE step_id = {step}"
_FAILING = """
CREATE OR REPLACE TEMP TABLE failing AS
SELECT step_id, arm, kind, user_hash, max(ended_at) AS last_at
FROM (
    SELECT step_id, arm, 'failure' AS kind, user_hash, ended_at FROM {counted} WHERE errors_x
    UNION ALL
    SELECT step_id, arm, 'client_error', user_hash, ended_at FROM {counted} WHERE is_client_error
)
GROUP BY ALL
"""
_SLOTS = """
CREATE OR REPLACE TEMP TABLE slots AS
SELECT step_id, arm, slot, count(*) AS requests FROM {counted} GROUP BY ALL
"""
_SLOTS_OVER = """
DELETE FROM evidence_slot
USING (SELECT step_id, max(slot) AS newest FROM evidence_slot GROUP BY step_id) AS newest
WHERE evidence_slot.step_id = newest.step_id AND slot < newest.newest - INTERVAL 3 DAY
"""
_MIXED = """
CREATE OR REPLACE TEMP TABLE mixing AS
SELECT
    step.id AS step_id,
    count(*) AS settled,
    count(*) FILTER (WHERE fresh.percent IS DISTINCT FROM step.percent) AS mixed
FROM {rows} AS fresh JOIN evidence_step AS step
    ON fresh.rollout = step.rollout AND (fresh.generation, fresh.step) <= (step.generation, step.step)
WHERE purpose = 'live' AND bucket IS NOT NULL AND reason IN ('split', 'stale')
    AND fresh.started_at >= step.started_at + INTERVAL 5 MINUTE AND step.id IN ({steps})
GROUP BY step.id
"""
_BOOTS = """
CREATE OR REPLACE TEMP TABLE boots AS
SELECT step_id, worker, boot, min(seq) AS first_seq, max(seq) AS last_seq, max(started_at) AS last_at
FROM {counted}
WHERE seq IS NOT NULL
GROUP BY ALL
"""
_RECENT = """
INSERT INTO evidence_recent
SELECT request_id, response_id, application, started_at, step_id, arm, user_hash, day, is_ok FROM {counted}
WHERE started_at > (SELECT max(started_at) FROM {counted}) - INTERVAL 1 HOUR
"""
_RECENT_OVER = """
DELETE FROM evidence_recent WHERE started_at <= (SELECT max(started_at) FROM evidence_recent) - INTERVAL 1 HOUR
"""


class Folding:
    """Adds rows of `store` up in the tables of `connection`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, store: Store, files: FoldedFiles) -> None:
        self._connection, self._store, self._files = connection, store, files
        self.verdicts = Verdicts(connection, store)

    def fold(self, heap: Heap, *, now: int) -> int:
        """Add up the rows of some files that were not yet, note that, and return how many numbers these had."""
        rows = self._files.fresh_rows(heap)
        steps = self._steps()
        if rows is not None and steps and heap.folder == FEEDBACK:
            self.verdicts.take(self._taken(heap, rows), now=now)
        elif rows is not None and steps:
            self._add_fresh(self._taken(heap, _FOLLOWED.format(rows=NEEDED_OF.format(rows=rows))), steps)
        return self._files.note(heap)

    def _taken(self, heap: Heap, rows: str) -> str:
        """Return these rows of a heap, each once: compacted ones are, and doubles among others are rare.

        Loose ones are in memory already; of these, nothing is kept a second time.
        """
        kind, bracketed = KINDS[heap.folder], f"({rows})"
        if heap.is_part:
            self._connection.execute(_TABLE.format(name=_FRESH, rows=rows))
        elif self._connection.execute(_DOUBLED.format(name=bracketed, key=kind.key)).fetchall() == [(True,)]:
            once = _ONCE.format(name=bracketed, key=kind.key, doubles=kind.doubles)
            self._connection.execute(_TABLE.format(name=_FRESH, rows=once))
        else:
            return bracketed
        return _FRESH

    def _steps(self) -> list[int]:
        return [number for (number,) in self._connection.execute("SELECT id FROM evidence_step").fetchall()]

    def fold_whole(self, step_id: int, rows: str = KINDS[INCOMING].name) -> None:
        """Add one step's rows up, of which there are none, from all files that were folded.

        `rows`: the view of all requests, or a question that reads it.
        """
        self.make_views()
        self._connection.execute(_VIEW.format(name=AGAIN, gate=gate_of(rows), step=step_id))
        self._add(AGAIN)
        self._mix(rows, [step_id])
        self.verdicts.take_all(AGAIN)

    def make_views(self) -> None:
        """Make the views of all rows that were folded, each once: `requests` and `feedback`."""
        for folder, found in self._files.contents.items():
            view_once(
                self._connection, self._store.address, KINDS[folder], parts=found.parts, loose=sorted(found.loose)
            )

    def _add_fresh(self, rows: str, steps: Collection[int]) -> None:
        self._connection.execute(_TABLE.format(name=_COUNTED, rows=gate_of(rows)))
        self._add(_COUNTED)
        self._mix(rows, steps)
        self.verdicts.meet(_COUNTED)

    def _add(self, counted: str) -> None:
        """Add gate rows, as `evidence_gate.sql` gives them, to all tables but those of verdicts."""
        ask = self._connection.execute
        sums = [
            *(f"count(*) FILTER (WHERE {name}) AS {name}" for name in ROW_MEASURES),
            "coalesce(sum(cost_x), 0) AS cost_x",
        ]
        gained = text_of("evidence_gained").format(sums=", ".join(sums), rows=counted)
        ask(_TABLE.format(name="gained_day", rows=gained))
        add_gained(self._connection, (*ROW_MEASURES, "cost_x"), has_times=True)
        ask(_FAILING.format(counted=counted))
        put(
            self._connection,
            "failure",
            "failing",
            ("step_id", "arm", "kind", "user_hash"),
            "last_at = greatest(known.last_at, gained.last_at)",
        )
        ask(_SLOTS.format(counted=counted))
        put(
            self._connection, "slot", "slots", ("step_id", "arm", "slot"), "requests = known.requests + gained.requests"
        )
        ask(_SLOTS_OVER)
        ask(_BOOTS.format(counted=counted))
        put(
            self._connection,
            "boot",
            "boots",
            ("step_id", "worker", "boot"),
            "first_seq = least(known.first_seq, gained.first_seq), "
            "last_seq = greatest(known.last_seq, gained.last_seq), last_at = greatest(known.last_at, gained.last_at)",
        )
        ask(_RECENT.format(counted=counted))
        ask(_RECENT_OVER)

    def _mix(self, rows: str, steps: Collection[int]) -> None:
        self._connection.execute(_MIXED.format(rows=rows, steps=", ".join(str(step) for step in steps)))
        put(
            self._connection,
            "mixed",
            "mixing",
            ("step_id",),
            "settled = known.settled + gained.settled, mixed = known.mixed + gained.mixed",
        )
