from __future__ import annotations

import os
import sys
import threading

import pytest

from gateway.console.behind import Behind


def niceness() -> tuple[int, int]:
    """Return how nice this thread is, and one that it starts."""
    found: list[int] = []
    child = threading.Thread(target=lambda: found.append(own()))
    child.start()
    child.join()
    return own(), found[0]


def own() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="not exercised: threads have no priority of their own here")
async def test_its_threads_and_theirs_come_last_and_nobody_else_does():
    behind = Behind(1)
    before = own()

    assert await behind.run(niceness) == (19, 19)
    assert own() == before
    behind.close()


@pytest.mark.anyio
async def test_what_is_raised_is_raised():
    behind = Behind(1)
    with pytest.raises(ZeroDivisionError):
        await behind.run(lambda: 1 / 0)
    behind.close()
