"""The last good snapshot, on the disk of every host that serves: what is left when the ledger cannot be read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from gateway.settings.snapshot import BadSnapshotError, Snapshot

LAKE_FOLDER = "snapshots"
"""Where in a fleet's lake the console leaves a copy."""
LAKE_COPY = f"{LAKE_FOLDER}/console.snapshot"
"""The name of that copy, whatever store keeps the lake."""

_log = logging.getLogger("turnout.settings")


class LastGood:
    """The last good snapshot of this host's workers: one file a worker in one directory."""

    def __init__(self, directory: Path, process: str, unseal: Callable[[bytes], Snapshot]) -> None:
        self._directory = directory
        self._path = directory / f"{process}.snapshot"
        self._unseal = unseal
        self._said: dict[Path, str] = {}

    def keep(self, sealed: bytes) -> None:
        """Replace this process's copy, durably and whole."""
        draft = self._path.with_suffix(".draft")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123 - an open descriptor
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._path)
        folder = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def newest(self) -> Snapshot | None:
        """Return the newest readable copy of any worker of this host."""
        newest = self._newest()
        return newest[0] if newest is not None else None

    def newest_sealed(self) -> bytes | None:
        """Return the same as it was signed."""
        newest = self._newest()
        return newest[1] if newest is not None else None

    def _newest(self) -> tuple[Snapshot, bytes] | None:
        found = [read for path in self._directory.glob("*.snapshot") if (read := self._read(path)) is not None]
        return max(found, key=lambda read: read[0].order, default=None)

    def _read(self, path: Path) -> tuple[Snapshot, bytes] | None:
        try:
            sealed = path.read_bytes()
            return self._unseal(sealed), sealed
        except (OSError, BadSnapshotError) as error:
            if self._said.get(path) != str(error):
                self._said[path] = str(error)
                _log.warning("last good snapshot unusable", extra={"path": str(path), "reason": str(error)})
            return None
