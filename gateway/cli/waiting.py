"""One line on a terminal that tells how far a query is while its answer is awaited; nothing anywhere else.

The wait has the main thread, where Ctrl-C arrives; another one looks now and then and draws. The line comes only after
a moment, so that quick answers come without it, and goes before the answer.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TextIO

from gateway.console.views import RunningView

_EVERY_S = 0.5
_HINT = "Ctrl-C ends the query"
_LEAVE = "\r\x1b[K"

Look = Callable[[], RunningView | None]
"""Asks how far the query is; None where nobody can tell."""


@contextmanager
def shown(look: Look, stream: TextIO, every_s: float = _EVERY_S) -> Generator[None]:
    """Show on `stream`, if it is a terminal, what `look` says, until the block ends."""
    if not stream.isatty():
        yield
        return
    is_over = Event()
    drawing = Thread(target=_draw, args=(look, stream, is_over, every_s), daemon=True)
    drawing.start()
    try:
        yield
    finally:
        is_over.set()
        drawing.join()


def line(running: RunningView | None, elapsed_s: float) -> str:
    """Return what there is to say of a query that was asked so long ago."""
    return f"{_stage(running)}{elapsed_s:,.0f} s; {_HINT}"


def _stage(running: RunningView | None) -> str:
    if running is None:
        return ""
    if running.state == "waiting":
        return "waits for its turn, "
    if running.state == "copying":
        return "the lake is read, "
    return "" if running.percent is None else f"{running.percent} %, "


def _draw(look: Look, stream: TextIO, is_over: Event, every_s: float) -> None:
    began_s, has_drawn = time.monotonic(), False
    while not is_over.wait(every_s):
        running = look()
        if is_over.is_set():
            break
        room = max(shutil.get_terminal_size().columns - 1, 10)
        stream.write(f"\r{line(running, time.monotonic() - began_s)[:room]}\x1b[K")
        stream.flush()
        has_drawn = True
    if has_drawn:
        stream.write(_LEAVE)
        stream.flush()
