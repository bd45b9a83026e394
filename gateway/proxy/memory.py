"""What a host's lessee remembers over restarts: the host's name, its fleet, and what it holds of each limit.

Law: a file is whole or not there; a damaged one is as none, for what is lost by that is only what was free at the last
look. It is not flushed to the disk: after a power cut a host begins as a new one.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from rollout.holding import Fleet, Holding


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the host's next lessee goes on from."""

    host: str
    fleet: Fleet
    holdings: tuple[Holding, ...] = ()


def remembered(file: Path) -> Memory | None:
    """Return what was kept; None when nothing was, or it cannot be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Memory)
    except (OSError, msgspec.MsgspecError):
        return None


def keep(file: Path, memory: Memory) -> None:
    """Keep it.

    Raises:
        OSError: it cannot be written.
    """
    unfinished = file.with_suffix(".tmp")
    unfinished.write_bytes(msgspec.json.encode(memory))
    unfinished.replace(file)
