"""Small files of a far store, brought here before they are asked: each by one call, several at once.

Asked where they lie, each would cost a handful of calls for every question.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from analytics.lake.store import Store, read_all


class NearFiles:
    """Files of `store`; those that were brought lie in `scratch`, which is nobody else's; None: none are brought."""

    def __init__(self, store: Store, scratch: Path | None = None) -> None:
        self._store, self._scratch = store, scratch
        self._near: Mapping[str, Path] = {}

    def bring(self, names: Sequence[str]) -> None:
        """Bring these files in the place of those that were brought before; of a near store none need be.

        Raises:
            OSError: one is gone, or the store is away.
        """
        if self._scratch is None or not self._store.is_far:
            return
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._near = {}
        if not names:
            return
        self._scratch.mkdir(parents=True)
        near: dict[str, Path] = {}
        for name, body in zip(names, read_all(self._store, names), strict=True):
            if body is None:
                message = f"{self._store.address(name)} is gone; what it held is looked for again"
                raise OSError(message)
            near[name] = self._scratch / quote(name, safe="")
            near[name].write_bytes(body)
        self._near = near

    def address(self, name: str) -> str:
        """Return how DuckDB names a file."""
        return str(self._near[name]) if name in self._near else self._store.address(name)
