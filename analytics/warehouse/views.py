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
from analytics.lake.manifest import Part
from analytics.lake.once import KINDS, Address, Once, rows_of
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
ALL = (*(kind.name for kind in KINDS.values()), *DERIVED, "hourly")

SPANNED = "spanned"
"""The view from which the macros read: `requests`, but of the files alone in which what they are asked for can be."""

Span = tuple[int | None, int | None]
"""Since and until, as in `analytics/narrowing.py`."""
EVER: Span = (None, None)

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
        self._connection, self._address, self._contents, self._unsealed = connection, address, contents, unsealed
        self._rows: dict[str, Once] = {}
        self._made: set[str] = set()
        self._span: Span | None = None

    def make(self, wanted: Collection[str]) -> None:
        """Make some views, and those that they read; names of others change nothing."""
        needed = _needed(wanted) - self._made
        for folder, kind in KINDS.items():
            if kind.name in needed:
                self._of(folder).view(kind.name)
        if "hourly" in needed:
            self._make_sums()
        for name, question in DERIVED.items():
            if name in needed:
                self._connection.execute(f"CREATE TEMP VIEW {name} AS {text_of(question)}")
        self._made |= needed

    def make_for(self, text: str, span: Span = EVER) -> None:
        """Make the views that a question reads; what it asks the macros for lies within a span of time."""
        read = set(_READ.findall(text))
        if read & set(_MACROS) and span != self._span:
            if self._span is None:
                self._make_macros()
            parts = [part for part in self._contents[INCOMING].parts if _touches(part, span)]
            self._of(INCOMING).view(SPANNED, parts)
            self._span = span
        self.make(read)

    def _make_macros(self) -> None:
        """Make the macros while there is no file in what they read: else each would read the heads of all files."""
        no_rows = rows_of(self._address, KINDS[INCOMING], ())
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {SPANNED} AS {no_rows}")
        for name in _MACROS:
            self._connection.execute(f"CREATE OR REPLACE TEMP MACRO {name}(asked) AS TABLE {text_of(name)}")

    def _of(self, folder: str) -> Once:
        """Return the rows of a folder, doubles among which are looked for once."""
        if folder not in self._rows:
            found, kind = self._contents[folder], KINDS[folder]
            self._rows[folder] = Once(
                self._connection,
                self._address,
                kind,
                parts=found.parts,
                loose=sorted(found.loose),
                is_beside=put_beside(self._connection, kind, self._unsealed.get(folder, ())),
            )
        return self._rows[folder]

    def _make_sums(self) -> None:
        found = self._contents[INCOMING]
        self._of(INCOMING).view(UNROLLED, [part for part in found.parts if part.name not in found.rollups])
        view_hourly(self._connection, self._address, [rollup.name for rollup in found.rollups.values()])


def _touches(part: Part, span: Span) -> bool:
    """Tell whether requests that began within a span can be in a file."""
    since, until = span
    return (since is None or since <= part.last_at) and (until is None or part.first_at < until)


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
