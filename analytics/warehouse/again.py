"""Ask again where a file was exchanged under a question.

A user is erased by writing files anew under their own names. DuckDB, asked for a union by name, reads each footer first
and opens the file a second time later: exchanged in between, it fits its footer no more, and the question ends with an
error. Asked again, it is answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from analytics.warehouse.database import UnreadableLakeError

_TRIES = 5
_PAUSE_S = 0.3
_QUICK_S = 5.0
"""What fails later than that failed for another reason: a store that is away, for one."""
_Answer = TypeVar("_Answer")


def again(ask: Callable[[], _Answer]) -> _Answer:
    """Return what `ask` returns, also if it has to be called a few times; what else it raises is raised.

    Raises:
        UnreadableLakeError: it raised that each time, or took long to.
    """
    for _ in range(_TRIES - 1):
        began_s = time.monotonic()
        try:
            return ask()
        except UnreadableLakeError:
            if time.monotonic() - began_s > _QUICK_S:
                raise
        time.sleep(_PAUSE_S)
    return ask()
