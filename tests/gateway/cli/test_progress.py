from __future__ import annotations

import io
from collections.abc import Callable

from gateway.cli.progress import Progress, Stages


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def ticking(step_s: float) -> Callable[[], float]:
    """Return a clock that is `step_s` later at each look."""
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += step_s
        return now

    return clock


def test_a_terminal_shows_a_bar_that_stays_on_its_line():
    stream = Terminal()
    progress = Progress(4, stream, ticking(1.0))

    progress.add(failed=False)
    progress.add(failed=True)
    progress.end()

    assert stream.getvalue().startswith("\r[#######.....................] 1 of 4 requests, 1/s, 0 failed")
    assert "2 of 4 requests, 1/s, 1 failed" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_elsewhere_there_is_a_line_now_and_then():
    stream = io.StringIO()
    progress = Progress(1000, stream, ticking(1.0))

    for _ in range(12):
        progress.add(failed=False)
    progress.end()

    assert stream.getvalue() == "5 of 1,000 requests, 1/s, 0 failed\n10 of 1,000 requests, 1/s, 0 failed\n"


def test_a_terminal_shows_the_stage_at_once_and_is_left_clean():
    stream = Terminal()
    stages = Stages(stream, ticking(0.1))

    stages.show("requests", 0, 2000)
    stages.show("requests", 1000, 2000)
    stages.end()

    assert stream.getvalue() == "\rrequests: 0 of 2,000\x1b[K\r\x1b[K"


def test_elsewhere_a_stage_is_a_line_now_and_then():
    stream = io.StringIO()
    stages = Stages(stream, ticking(3.0))

    for done in range(4):
        stages.show("files", done, 4)
    stages.end()

    assert stream.getvalue() == "files: 1 of 4\nfiles: 3 of 4\n"
