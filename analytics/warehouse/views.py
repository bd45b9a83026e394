"""The views that questions read, made on one connection when the first question needs them.

The law: all of one `Views` show the lake at one moment; to make a view reads the heads of all files, so that only what
is asked is made.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from pathlib import Path

import duckdb

from analytics.lake.contents import Contents
from analytics.lake.layout import INCOMING
from analytics.lake.once import KINDS, Address, view_once
from analytics.lake.rollup import UNROLLED, view_hourly
from analytics.warehouse.beside import put_beside

DERIVED = {
    "judged": "feedback",
    "ratings": "ratings",
    "verdicts": "verdicts",
    "pieces": "pieces",
    "rated_hours": "rated_hours",
    "daily": "daily",
    "costs": "costs",
    "satisfaction": "satisfaction_by_day",
}
"""Views that are questions themselves, by their names, in the order in which they build upon each other."""
ALL = (*DERIVED, "hourly")

_MACROS = ("narrowed", "arms", "waits")
"""Questions that take a parameter, and from which others read: each from the one before."""
_READ = re.compile(r"\b(?:FROM|JOIN) (\w+)")
_QUERIES = Path(__file__).with_name("queries")


class Views:
    """The lake's `contents` by folder, and rows that are `unsealed` still, as views of one connection."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        address: Address,
        contents: Mapping[str, Contents],
        unsealed: Mapping[str, Sequence[bytes]],
    ) -> None:
        self._connection, self._address, self._contents = connection, address, contents
        self._beside = {folder: put_beside(connection, KINDS[folder], unsealed.get(folder, ())) for folder in contents}
        self._made: set[str] = set()
        for folder in contents:
            self._make_rows(folder)
        for name in _MACROS:
            connection.execute(f"CREATE OR REPLACE TEMP MACRO {name}(asked) AS TABLE {text_of(name)}")

    def make(self, wanted: Collection[str]) -> None:
        """Make some views, and those that they read; names of others change nothing."""
        needed = _needed(wanted) - self._made
        if "hourly" in needed:
            self._make_sums()
        for name, question in DERIVED.items():
            if name in needed:
                self._connection.execute(f"CREATE TEMP VIEW {name} AS {text_of(question)}")
        self._made |= needed

    def make_for(self, text: str) -> None:
        """Make the views that a question reads."""
        self.make(_READ.findall(text))

    def _make_rows(self, folder: str, *, unrolled: bool = False) -> None:
        found = self._contents[folder]
        also = {UNROLLED: [part for part in found.parts if part.name not in found.rollups]} if unrolled else {}
        view_once(
            self._connection,
            self._address,
            KINDS[folder],
            parts=found.parts,
            loose=sorted(found.loose),
            also=also,
            is_beside=self._beside[folder],
        )

    def _make_sums(self) -> None:
        self._make_rows(INCOMING, unrolled=True)
        rollups = self._contents[INCOMING].rollups.values()
        view_hourly(self._connection, self._address, [rollup.name for rollup in rollups])


@cache
def text_of(question: str) -> str:
    """Return the text of a question without its remarks, which name more than it reads."""
    lines = (_QUERIES / f"{question}.sql").read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


def _needed(views: Collection[str]) -> set[str]:
    """Return some views, and those that they read."""
    needed = set(views)
    for name, question in reversed(DERIVED.items()):
        if name in needed:
            needed |= set(_READ.findall(text_of(question)))
    return needed
