"""What the operating system says that processes spent and hold, from `/proc`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_NS_PER_S = 1e9
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

if not Path("/proc/self/schedstat").exists():
    message = "the benchmarks read /proc: they run on Linux, with scheduler statistics"
    raise RuntimeError(message)


def cpu_s(pids: Sequence[int]) -> float:
    """Return the time that these processes' threads have run so far, user and system, in seconds."""
    return sum(_ran_ns(task) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()) / _NS_PER_S


def rss_bytes(pids: Sequence[int]) -> int:
    """Return the memory that these processes hold at this moment."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES for pid in pids)


def _ran_ns(task: Path) -> int:
    return int((task / "schedstat").read_text().split()[0])
