"""What of a lake's files counts at a moment: each row once, but for doubles among files that are not compacted yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.manifest import Part, Rollup, read_manifest
from analytics.lake.store import Store


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """Files of one kind of rows: compacted ones, and the bytes of each loose one by its name.

    `rollups` are by the name of the part whose rows they sum, which need not be there any more.
    """

    parts: Sequence[Part]
    loose: Mapping[str, int]
    rollups: Mapping[str, Rollup] = {}

    @property
    def files(self) -> Mapping[str, int]:
        """Return the bytes of every file by its name."""
        return {**{part.name: part.size_bytes for part in self.parts}, **self.loose}


def contents(store: Store) -> Mapping[str, Contents]:
    """Look at a lake: what counts, by the folder where rows come in. No row is missed, whoever compacts meanwhile.

    Raises:
        OSError: the lake cannot be read.
    """
    found = {folder: store.sizes(folder) for folder in (INCOMING, FEEDBACK)}
    manifest = read_manifest(store)
    return {
        folder: Contents(
            parts=manifest.parts.get(folder, ()),
            loose={name: size for name, size in files.items() if name not in manifest.replaced},
            rollups=manifest.rollups if folder == INCOMING else {},
        )
        for folder, files in found.items()
    }
