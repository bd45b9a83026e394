"""Who failed in the files that are not added up yet: what fast kill needs within seconds, while sums can wait.

The law: nothing of it is kept. It stands in memory until its files are folded, and a user who failed in a row that was
folded before as well counts once, as one who failed twice does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal

import duckdb
import msgspec

from analytics.evidence import Kind
from analytics.lake.layout import INCOMING
from analytics.warehouse.gate_rows import failed_of
from analytics.warehouse.near_files import NearFiles

KINDS_OF_FAILURE: Sequence[Kind] = ("failure", "client_error")
MOST_FILES = 256
"""So many at once are folded rather."""
_STEPS = "SELECT rollout, generation, step, percent, id FROM evidence_step"
_SEEN = "SELECT worker, boot, first_seq, last_seq FROM evidence_seen WHERE kind = $kind ORDER BY first_seq"

_FOR_EVER = 2**63

Place = tuple[int, str, str]
"""A step, a kind of failure, an arm."""


class Known(msgspec.Struct, frozen=True):
    """What the tables say of rows: the number of each step that is followed, and the runs that each boot's rows have.

    A step is told apart by rollout, generation, step and percent; runs are first and last numbers, in their order.
    """

    steps: Mapping[tuple[str, int, int, Decimal], int]
    runs: Mapping[tuple[str, str], Sequence[tuple[int, int]]]

    def is_folded(self, worker: str, boot: str, seq: int | None) -> bool:
        """Tell whether a row was folded; one without a number counts always."""
        runs = self.runs.get((worker, boot), ())
        at = 0 if seq is None else bisect_right(runs, (seq, _FOR_EVER))
        return at > 0 and seq is not None and seq <= runs[at - 1][1]


class Peeked:
    """Reads failures for the tables of `connection`; `near` brings files where need be."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, near: NearFiles) -> None:
        self._connection, self._near = connection, near
        self._names: set[str] = set()
        self._failed: dict[Place, dict[bytes, int]] = {}
        self._known: Known | None = None

    @property
    def failed(self) -> Mapping[Place, Mapping[bytes, int]]:
        """Return by user when each failed last, in microseconds since 1970 UTC."""
        return self._failed

    def new(self, names: Sequence[str]) -> list[str]:
        """Return which of these files were not read yet."""
        return [name for name in names if name not in self._names]

    def take(self, names: Sequence[str]) -> None:
        """Read those of some files of requests that were not read yet; raises `OSError` when one is gone."""
        new = self.new(names)
        if not new:
            return
        self._near.bring(names)
        rows = self._connection.execute(failed_of(self._near.address, new)).fetchall()
        known = self._asked() if rows else Known({}, {})
        for rollout, generation, step, percent, worker, boot, seq, arm, user, ended_at, *is_kind in rows:
            step_id = known.steps.get((rollout, generation, step, percent))
            if step_id is None or known.is_folded(worker, boot, seq):
                continue
            for kind in (kind for kind, is_it in zip(KINDS_OF_FAILURE, is_kind, strict=True) if is_it):
                users = self._failed.setdefault((step_id, kind, arm), {})
                users[user] = max(ended_at, users.get(user, ended_at))
        self._names.update(new)

    def changed(self) -> None:
        """Ask again which steps are followed, and which numbers were folded: the tables have changed."""
        self._known = None

    def forget(self) -> None:
        """Forget it all, once it is folded."""
        self._names, self._failed = set(), {}

    def _asked(self) -> Known:
        if self._known is None:
            ask = self._connection.execute
            runs: dict[tuple[str, str], list[tuple[int, int]]] = {}
            for worker, boot, first_seq, last_seq in ask(_SEEN, {"kind": INCOMING}).fetchall():
                runs.setdefault((worker, boot), []).append((first_seq, last_seq))
            steps = {tuple(which): step_id for *which, step_id in ask(_STEPS).fetchall()}
            self._known = Known(steps, runs)
        return self._known
