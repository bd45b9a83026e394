"""Small files of a far store, brought here before they are asked: each by one call, several at once.

Asked where they lie, each would cost a handful of calls for every question.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from analytics.lake.store import Store, read_all


class NearFiles:
    """Files of `store`; those that were brought lie in `scratch`, which is nobody else's; None: none are brought."""

    def __init__(self, store: Store, scratch: Path | None = None) -> None:
        self._store, self._scratch = store, scratch
        self._near: dict[str, Path] = {}

    def bring(self, names: Sequence[str]) -> None:
        """Have these files brought, none twice, and let go of the others; of a near store none need be.

        Raises:
            OSError: one is gone, or the store is away.
        """
        if self._scratch is None or not self._store.is_far:
            return
        kept = {name: path for name, path in self._near.items() if name in names}
        if not kept:
            shutil.rmtree(self._scratch, ignore_errors=True)
        for name in self._near.keys() - kept.keys():
            self._near[name].unlink(missing_ok=True)
        self._near = kept
        missing = [name for name in names if name not in kept]
        if not missing:
            return
        self._scratch.mkdir(parents=True, exist_ok=True)
        for name, body in zip(missing, read_all(self._store, missing), strict=True):
            if body is None:
                message = f"{self._store.address(name)} is gone; what it held is looked for again"
                raise OSError(message)
            path = self._scratch / quote(name, safe="")
            path.write_bytes(body)
            kept[name] = path

    def address(self, name: str) -> str:
        """Return how DuckDB names a file."""
        return str(self._near[name]) if name in self._near else self._store.address(name)
