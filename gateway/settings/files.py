"""How many files and connections a process may have open: as many as the system allows at most.

The usual limit of 1,024 is for programs that call `select`; whoever serves connections raises it.
"""

from __future__ import annotations

import contextlib
import resource

_KEPT = 64
"""For the journal, the ledger, status pages, limits, sockets to listen on."""
_MOST = 1_048_576
"""What Linux allows at most (`fs.nr_open`), where the hard limit is none."""
FEW = 4096
"""Fewer are worth a word to the operator."""


def raise_open_files() -> int:
    """Raise this process's limit of open files, which its children inherit, as far as it goes; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def max_connections() -> int:
    """Return how many callers a process may have connected: each of them may need a connection to a model."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, (soft - _KEPT) // 2)
