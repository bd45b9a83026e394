"""How every process writes its log: one JSON object a line on standard error, control characters escaped, no bodies.

Of an exception the log has the type and the place: its text may quote a caller's or an upstream's words.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

import msgspec

_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}
"""What JSON lets stand in a string, and a terminal or a reader of lines does not take for a character."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """Formats a record as `{"at", "level", "process", "event", ...}`; `extra` fields stand beside them."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its line break."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["traceback"] = "".join(_frames(record.exc_info[1]))
        return _encode(line).translate(_ESCAPES)


def _frames(error: BaseException | None) -> Iterator[str]:
    """Go back from cause to cause; `raise error from error` makes a circle of them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield f"{type(error).__name__}\n"
        yield from traceback.format_tb(error.__traceback__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _encode(line: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except Exception:  # noqa: BLE001 - whatever an extra's value is, its line is written
        return json.dumps(
            {name: value if isinstance(value, str | int) else _shown(value) for name, value in line.items()}
        )


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - see above
        return f"<{type(value).__name__}>"


def configure(process: str, level: str = "INFO") -> None:
    """Make this process log in JSON lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel("WARNING")
