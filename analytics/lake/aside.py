"""Lets a process run when nobody else would, so that what it does slows no request that is served beside.

The law: whoever starts such a process says so at once, before it imports anything; else its first tenth of a second
takes a whole core from requests.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

_LAST_OF_ALL = 19


def step_back(pid: int = 0) -> None:
    """Put a process, or (0) the caller's own, behind all others: on Linux as idle, elsewhere by its niceness.

    On a host without a free moment it then hardly runs at all. Niceness of 10 alone cost requests twenty times as much
    at the p99: a core that an idle process has is given up at once, one that a nice process has when its turn is over.
    """
    with suppress(OSError):
        if sys.platform == "linux":
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        else:
            os.setpriority(os.PRIO_PROCESS, pid, _LAST_OF_ALL)
