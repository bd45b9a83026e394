"""The walls that a process builds around itself before it runs somebody else's SQL. They never come down again.

What every system with POSIX has: limits on memory, processor time, files and processes. On Linux also: it dies with its
parent, gains no privileges, has no network but an empty one (where namespaces are allowed), and can open no file any
more (Landlock, where the kernel has it; DuckDB reads the host's files when it opens a database, so this comes after).

Landlock holds for the thread that asks for it and those which that one starts: a process with more threads has no wall.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_PARENT_DEATH_SIGNAL, _NO_NEW_PRIVILEGES = 1, 38
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
"""Numbers of system calls; those since 2019 are the same on every architecture."""
_ASK_VERSION = 1
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many rights over files there are since which version of Landlock; all are withheld."""
_TCP_RIGHTS = 0b11
_TCP_SINCE = 4
_SCOPES = 0b11
"""Abstract sockets of others, and signals to others."""
_SCOPES_SINCE = 6
_FEW_FILES = 16


class Walls(msgspec.Struct, frozen=True, kw_only=True):
    """Which walls stand. `landlock` is the kernel's version of it, 0 where it has none."""

    landlock: int
    empty_network: bool


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much a process may use: address space in bytes, processor time in whole seconds."""

    memory_bytes: int
    cpu_s: int


def confine(bounds: Bounds) -> bool:
    """Bound what this process may use, and take the network away; return whether that could be done.

    It must have one thread alone.
    """
    _limit(bounds)
    if sys.platform != "linux":
        return False
    kernel = ctypes.CDLL(None, use_errno=True)
    kernel.prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    kernel.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    return kernel.unshare(_NEW_NETWORK) == 0 or kernel.unshare(_NEW_USER | _NEW_NETWORK) == 0


def close_in() -> int:
    """Forbid opening any further file, process and thread; return the version of Landlock that does it, 0 without one.

    What is open stays open. Everything that is needed must be imported already.
    """
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if sys.platform != "linux" or len([*Path("/proc/self/task").iterdir()]) > 1:
        return 0
    return _landlock(ctypes.CDLL(None, use_errno=True))


def landlock_version() -> int:
    """Return which version of Landlock this kernel has; 0: none."""
    return _version(ctypes.CDLL(None, use_errno=True)) if sys.platform == "linux" else 0


def _limit(bounds: Bounds) -> None:
    wanted = {
        resource.RLIMIT_AS: bounds.memory_bytes,
        resource.RLIMIT_CPU: bounds.cpu_s,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _FEW_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in wanted.items():
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # macOS refuses a limit on address space.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (least, least))


def _version(kernel: ctypes.CDLL) -> int:
    return max(0, kernel.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION))


def _landlock(kernel: ctypes.CDLL) -> int:
    """Withhold all that Landlock can withhold; return its version, 0 where nothing was done."""
    version = _version(kernel)
    if not version:
        return 0
    files = max(rights for since, rights in _FILE_RIGHTS.items() if since <= version)
    tcp = _TCP_RIGHTS if version >= _TCP_SINCE else 0
    scopes = _SCOPES if version >= _SCOPES_SINCE else 0
    withheld = struct.pack("=QQQ", (1 << files) - 1, tcp, scopes)
    size = 24 if scopes else 16 if tcp else 8
    ruleset = kernel.syscall(_CREATE_RULESET, withheld, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return 0
    try:
        return version if kernel.syscall(_RESTRICT_SELF, ruleset, 0) == 0 else 0
    finally:
        os.close(ruleset)
