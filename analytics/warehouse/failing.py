"""How many users fail in a step: those that the sums know, and those that only files tell that are not added up yet.

The law: a user counts once. What the sums say is asked again when they change, or an hour begins; in between new
failures cost the same however many users have failed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import duckdb

from analytics.evidence import FailingUsers, StepWindow
from analytics.warehouse.peeked import KINDS_OF_FAILURE, Peeked, Place
from analytics.warehouse.views import text_of

_US = 1_000_000
_LAST = """
SELECT kind, arm, user_hash, epoch_us(last_at) FROM evidence_failure
WHERE step_id = $step AND user_hash IN (SELECT unnest($users))
"""
Counts = Mapping[tuple[str, str], tuple[int, int]]
"""By kind and arm: users who failed in the step, and those of them who did in the present hour."""


class Failing:
    """Asks the tables of `connection`, and what `peeked` saw."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, peeked: Peeked) -> None:
        self._connection, self._peeked = connection, peeked
        self._counts: dict[tuple[int, int], Counts] = {}
        self._last: dict[int, dict[bytes, Mapping[Place, int]]] = {}

    def of(self, window: StepWindow, step_id: int, now: int) -> tuple[FailingUsers, ...]:
        """Return how many users failed of each kind, `now` (microseconds since 1970 UTC)."""
        hour_us = max(1, round(window.hour_s * _US))
        hour_at = now // hour_us * hour_us
        known = self._known(step_id, hour_at)
        new = self._new(step_id, hour_at)
        found = {
            place: tuple(known.get(place, (0, 0))[at] + new.get(place, (0, 0))[at] for at in (0, 1))
            for place in known.keys() | new.keys()
        }
        return tuple(
            FailingUsers(
                kind=kind,
                base=found.get((kind, "base"), (0, 0))[0],
                candidate=found.get((kind, "candidate"), (0, 0))[0],
                hour_base=found.get((kind, "base"), (0, 0))[1],
                hour_candidate=found.get((kind, "candidate"), (0, 0))[1],
            )
            for kind in KINDS_OF_FAILURE
        )

    def changed(self) -> None:
        """Ask the tables again: they have changed."""
        self._counts, self._last = {}, {}

    def _known(self, step_id: int, hour_at: int) -> Counts:
        """Return the counts of what is added up."""
        if (step_id, hour_at) not in self._counts:
            asked = {"step": step_id, "hour_at": hour_at}
            rows = self._connection.execute(text_of("evidence_failing"), asked).fetchall()
            self._counts = {place: counts for place, counts in self._counts.items() if place[0] != step_id}
            self._counts[step_id, hour_at] = {(kind, arm): (users, of_hour) for kind, arm, users, of_hour in rows}
        return self._counts[step_id, hour_at]

    def _new(self, step_id: int, hour_at: int) -> Counts:
        """Return how many more the files tell of that are not added up."""
        seen = {place: users for place, users in self._peeked.failed.items() if place[0] == step_id}
        last = self._last_of(step_id, {user for users in seen.values() for user in users})
        return {
            (place[1], place[2]): (
                sum(place not in last[user] for user in users),
                sum(at >= hour_at > last[user].get(place, hour_at - 1) for user, at in users.items()),
            )
            for place, users in seen.items()
        }

    def _last_of(self, step_id: int, users: Collection[bytes]) -> Mapping[bytes, Mapping[Place, int]]:
        """Return of some users when each failed last by what is added up."""
        last = self._last.setdefault(step_id, {})
        unknown = [user for user in users if user not in last]
        if unknown:
            found: dict[bytes, dict[Place, int]] = {user: {} for user in unknown}
            asked = {"step": step_id, "users": unknown}
            for kind, arm, user, at in self._connection.execute(_LAST, asked).fetchall():
                found[user][step_id, kind, arm] = at
            last.update(found)
        return last
