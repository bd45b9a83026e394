"""Which model names the configuration has: each worker leaves them in a file, for the shipper has no configuration.

The law: a name that no worker ever knew from its configuration is told as `(other)`, so that callers who make up names
make no series.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import msgspec

from analytics.telemetry.names import OTHER

SUFFIX = ".models"


def tell_models(directory: Path, worker: str, models: Collection[str]) -> None:
    """Leave a worker's models in `directory`; a disk that refuses is no reason to serve worse."""
    path = directory / f"{worker}{SUFFIX}"
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_bytes(msgspec.json.encode(sorted(models)))
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


class KnownModels:
    """The models of all workers that ever told theirs, as far as their files lie in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[str, tuple[int, int]] = {}
        self._names: frozenset[str] = frozenset()

    def label(self, model: str) -> str:
        """Return the name under which a model counts."""
        return model if model in self._names else OTHER

    def refresh(self) -> None:
        """Read the files that are new; a name that was known stays known."""
        try:
            with os.scandir(self._directory) as entries:
                found = [entry for entry in entries if entry.name.endswith(SUFFIX)]
                for entry in found:
                    self._take(entry)
        except OSError:
            return

    def _take(self, entry: os.DirEntry[str]) -> None:
        status = entry.stat()
        version = (status.st_ino, status.st_mtime_ns)
        if self._read.get(entry.name) == version:
            return
        with suppress(OSError, msgspec.MsgspecError):
            self._names |= msgspec.json.decode(Path(entry.path).read_bytes(), type=frozenset[str])
            self._read[entry.name] = version
