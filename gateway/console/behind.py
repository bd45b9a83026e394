"""Threads that come behind everything else on the machine: what they compute slows no request that is served beside.

The law: they compute reports alone. A change of the flag never waits for one of them.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

_LAST_OF_ALL = 19
_Answer = TypeVar("_Answer")


class Behind:
    """Runs what blocks, `at_once` of it at a time; the rest waits. Threads that those start come behind as well."""

    def __init__(self, at_once: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="behind", initializer=_come_behind)

    async def run(self, act: Callable[[], _Answer]) -> _Answer:
        """Return what `act` returns, or raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    def close(self) -> None:
        """Begin nothing any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _come_behind() -> None:
    """Lower this thread alone, where the system knows of threads' own priorities."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LAST_OF_ALL)
