"""Which published copy to make: what the console tells the process that makes it."""

from __future__ import annotations

import msgspec

from analytics.lake.place import Place


class Edition(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of which lake, where, as of when (microseconds since 1970 UTC), and of which requests.

    `journal` is where this host has what is not in that lake yet; None: nothing of it comes from here.
    """

    lake: Place
    target: str
    as_of: int
    days: int
    max_rows: int
    applications: tuple[str, ...] | None = None
    """None: all."""
    journal: str | None = None
