"""How every process writes its log: one JSON object a line on standard error, control characters escaped, no bodies.

A person at a terminal gets short lines instead. Of an exception the log has the type and the place: its text may quote
a caller's or an upstream's words. Libraries have no say below a warning, whatever the level.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from analytics.logline import LogLevel, Render, as_json, trace
from analytics.telemetry.lines import LineWriter, to_standard_error

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_TALKATIVE = "asyncio"
"""Puts what it knows of a failed task, its exception's text among it, into further lines of its message."""

_log = logging.getLogger("turnout")


class Lines(logging.Formatter):
    """Formats a record as `{"at", "level", "process", "event", ...}`; `extra` fields stand beside them."""

    def __init__(self, process: str, render: Render = as_json) -> None:
        super().__init__()
        self._process, self._render = process, render

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its line break."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = record.getMessage()
        line: dict[str, Any] = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "event": event.partition("\n")[0] if record.name == _TALKATIVE else event,
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["traceback"] = trace(record.exc_info[1])
        return self._render(line)


class _Behind(logging.Handler):
    """Hands lines over to be written: whoever logs does not wait for standard error, and does not fail by it."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.put(self.format(record))
        except Exception:  # noqa: BLE001 - a line that cannot be made is logging's to tell
            self.handleError(record)

    def say(self, line: str) -> None:
        """Write a line that is no record, for the person who started the process."""
        self.acquire()
        try:
            self._writer.put(line)
        finally:
            self.release()


def configure(process: str, level: LogLevel = "info") -> Callable[[str], None]:
    """Make this process log to standard error, also what ends it or one of its threads unforeseen.

    Return what writes further lines there, for a person.
    """
    writer, render = to_standard_error(process)
    handler = _Behind(writer)
    handler.setFormatter(Lines(process, render))
    logging.basicConfig(level="WARNING", handlers=[handler], force=True)
    set_level(level)
    sys.excepthook = _tell_uncaught
    threading.excepthook = _tell_uncaught_in_thread
    return handler.say


def set_level(level: LogLevel) -> None:
    """Write lines of this level and above from here on."""
    number = logging.getLevelNamesMapping()[level.upper()]
    if _log.level != number:
        _log.setLevel(number)
        logging.getLogger().setLevel(max(number, logging.WARNING))


def _tell_uncaught(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, at)
    else:
        _log.critical("the process ends by an error", exc_info=(kind, error, at))


def _tell_uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None:
        extra = {"stopped": failed.thread.name if failed.thread is not None else None}
        _log.critical("a thread ends by an error", exc_info=failed.exc_value, extra=extra)
