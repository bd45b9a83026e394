"""Who failed in the files that are not added up yet: what fast kill needs within seconds, while sums can wait.

The law: nothing of it is kept. It stands in memory until its files are folded, and a user who failed in a row that was
folded before as well counts once, as one who failed twice does.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from analytics.lake.layout import INCOMING
from analytics.lake.once import KINDS, rows_of
from analytics.warehouse.evidence_tables import NEEDED_OF
from analytics.warehouse.near_files import NearFiles
from analytics.warehouse.views import text_of

MOST_FILES = 256
"""So many at once are folded rather."""
_MAKE = """
CREATE OR REPLACE TEMP TABLE peeked_failure (
    step_id INTEGER, arm VARCHAR, kind VARCHAR, user_hash BLOB, last_at TIMESTAMP
)
"""
_FAILED = "CREATE OR REPLACE TEMP TABLE peeked AS {rows}"
_TAKE = """
INSERT INTO peeked_failure
SELECT step_id, arm, 'failure', user_hash, ended_at FROM peeked WHERE errors_x
UNION ALL
SELECT step_id, arm, 'client_error', user_hash, ended_at FROM peeked WHERE is_client_error
"""


class Peeked:
    """Reads failures for the tables of `connection`; `near` brings files where need be."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, near: NearFiles) -> None:
        self._connection, self._near = connection, near
        self._names: set[str] = set()
        connection.execute(_MAKE)

    def new(self, names: Sequence[str]) -> list[str]:
        """Return which of these files were not read yet."""
        return [name for name in names if name not in self._names]

    def take(self, names: Sequence[str]) -> None:
        """Read those of some files of requests that were not read yet; raises `OSError` when one is gone."""
        new = self.new(names)
        if not new:
            return
        self._near.bring(names)
        rows = NEEDED_OF.format(rows=rows_of(self._near.address, KINDS[INCOMING], new))
        gate = text_of("evidence_gate").format(rows=f"({rows})")
        self._connection.execute(_FAILED.format(rows=text_of("evidence_peeked").format(gate=gate)), {"kind": INCOMING})
        self._connection.execute(_TAKE)
        self._names.update(new)

    def forget(self) -> None:
        """Forget it all, once it is folded."""
        if self._names:
            self._names = set()
            self._connection.execute("DELETE FROM peeked_failure")
