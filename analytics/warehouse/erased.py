"""Users who are erased from the lake are erased from the sums: their steps are added up anew from what the lake has.

The law: sums stay as they are, for the lake's rows do; only whose they are is forgotten, here as there. An erasure is
followed until it is over. One that came and went unseen has every step added up anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from analytics.lake.erasure import Erasure, Erasures

_NOTED = "SELECT id, user_hash, files, requests, looked_at, is_pending FROM evidence_erasure"
_NOTE = """
INSERT INTO evidence_erasure
VALUES ($id, $user_hash, make_timestamp($asked_at), $files, $requests, $looked_at, $is_pending)
"""
_FORGET = "DELETE FROM evidence_erasure WHERE id = $id"
_WITH_ROWS = """
SELECT DISTINCT step_id FROM evidence_user WHERE user_hash = $user_hash AND first_at <= make_timestamp($asked_at)
"""


class Erased:
    """What the erasures in `folder` ask of the tables of `connection`; None: there never are any."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path | None) -> None:
        self._connection, self._folder = connection, folder
        self._changed_ns: int | None = None

    def is_changed(self) -> bool:
        """Tell whether any erasure has changed since this was asked last; that costs a look at a folder."""
        try:
            changed_ns = 0 if self._folder is None else self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            changed_ns = 0
        is_changed, self._changed_ns = changed_ns != self._changed_ns, changed_ns
        return is_changed

    def ask_again(self) -> None:
        """Let the next `is_changed` be true: what was to be done came to nothing."""
        self._changed_ns = None

    def steps(self, followed: Sequence[int]) -> list[int]:
        """Return the steps that are to be added up anew, of those that are followed, and note how erasures stand.

        Raises:
            OSError: an erasure cannot be read.
        """
        if self._folder is None:
            return []
        noted = {row[0]: row[1:] for row in self._connection.execute(_NOTED).fetchall()}
        again: set[int] = set()
        for erasure in Erasures(self._folder).every():
            again.update(self._of(erasure, noted.get(erasure.id), followed))
        return sorted(again)

    def _of(self, erasure: Erasure, noted: tuple[Any, ...] | None, followed: Sequence[int]) -> Sequence[int]:
        user_hash, files, requests, looked_at, is_pending = noted or (None, 0, 0, None, False)
        is_rewritten = (erasure.files, erasure.requests) != (files, requests)
        has_looked = (erasure.looked_at, erasure.ended_at is None) != (looked_at, user_hash is not None)
        if noted is not None and not is_rewritten and not has_looked:
            return []
        known = erasure.user_hash or user_hash
        self._connection.execute(_FORGET, {"id": erasure.id})
        self._connection.execute(
            _NOTE,
            {
                "id": erasure.id,
                "user_hash": erasure.user_hash,
                "asked_at": erasure.asked_at,
                "files": erasure.files,
                "requests": erasure.requests,
                "looked_at": erasure.looked_at,
                # What a file loses is noted before it does.
                "is_pending": is_rewritten and erasure.ended_at is None,
            },
        )
        if not (is_rewritten or is_pending):
            return []
        if known is None:
            return followed
        rows = self._connection.execute(_WITH_ROWS, {"user_hash": known, "asked_at": erasure.asked_at}).fetchall()
        return [step_id for (step_id,) in rows]
