from __future__ import annotations

import io
import threading

import pytest

from gateway.cli.waiting import line, shown
from gateway.console.views import RunningState, RunningView


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def running(state: RunningState = "running", percent: int | None = None) -> RunningView:
    return RunningView(id="a", by="ops key o", query="SELECT 1", state=state, percent=percent, elapsed_s=1.0)


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (running(percent=42), "42 %, 3 s; Ctrl-C ends the query"),
        (running(percent=None), "3 s; Ctrl-C ends the query"),
        (running("waiting"), "waits for its turn, 3 s; Ctrl-C ends the query"),
        (running("copying"), "the lake is read, 3 s; Ctrl-C ends the query"),
        (None, "3 s; Ctrl-C ends the query"),
    ],
)
def test_the_line_says_what_the_query_is_at_and_for_how_long(view: RunningView | None, said: str):
    assert line(view, 3.2) == said


def test_a_terminal_has_the_line_while_the_answer_is_awaited_and_is_left_clean():
    stream, has_looked_twice = Terminal(), threading.Event()
    percents = iter([7, 49, *[90] * 100_000])

    def look() -> RunningView:
        percent = next(percents)
        if percent == 90:
            has_looked_twice.set()
        return running(percent=percent)

    with shown(look, stream, every_s=0.001):
        assert has_looked_twice.wait(10)

    drawn = stream.getvalue()
    assert drawn.startswith("\r7 %, 0 s; Ctrl-C ends the query\x1b[K\r49 %, ")
    assert drawn.endswith("\x1b[K\r\x1b[K")


def test_a_quick_answer_and_what_is_no_terminal_show_nothing():
    streams = (Terminal(), io.StringIO())
    for stream in streams:
        with shown(lambda: running(percent=1), stream, every_s=60):
            pass

    assert [stream.getvalue() for stream in streams] == ["", ""]


def test_a_look_that_comes_too_late_is_not_drawn():
    stream, looks, goes_on = Terminal(), threading.Event(), threading.Event()

    def look() -> RunningView:
        looks.set()
        assert goes_on.wait(10)
        return running(percent=1)

    with shown(look, stream, every_s=0.001):
        assert looks.wait(10)
        threading.Timer(0.05, goes_on.set).start()

    assert stream.getvalue() == ""
