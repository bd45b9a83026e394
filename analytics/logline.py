"""How a line of a log looks: JSON for programs, short for a person at a terminal. Pure: fields in, one line out.

Whatever the fields hold, it is one line, and nothing in it moves a terminal's cursor or ends a line for its reader.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args

import msgspec

LogLevel = Literal["debug", "info", "warning", "error"]
LEVELS: tuple[str, ...] = (*get_args(LogLevel), "critical")
"""From the least to the most that can be wrong."""
Render = Callable[[Mapping[str, Any]], str]
"""A line's fields, of which `at` (ISO 8601, UTC), `level`, `process` and `event` are always there, to its text."""

_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}
"""What JSON lets stand in a string, and a terminal or a reader of lines does not take for a character."""
_SHORT_ESCAPES = {**{code: f"\\u{code:04x}" for code in (*range(0x20), *range(0xD800, 0xE000))}, **_ESCAPES}
_CLOCK = slice(11, 19)
_HEAD = ("at", "level", "process", "event", "traceback")


def passes(level: str, least: LogLevel) -> bool:
    """Tell whether a line of this level is written where `least` is the least that is."""
    return LEVELS.index(level) >= LEVELS.index(least)


def as_json(fields: Mapping[str, Any]) -> str:
    """Return the line as a JSON object."""
    return _encoded(fields).translate(_ESCAPES)


def as_short(fields: Mapping[str, Any]) -> str:
    """Return the line as `TIME LEVEL PROCESS: EVENT (NAME=VALUE ...)`; a traceback stands below it, indented."""
    head = f"{str(fields['at'])[_CLOCK]} {fields['level']} {fields['process']}: {fields['event']}"
    rest = " ".join(f"{name}={_shown(value)}" for name, value in fields.items() if name not in _HEAD)
    below = str(fields.get("traceback") or "").splitlines()
    lines = [f"{head} ({rest})" if rest else head, *below]
    return "\n    ".join(line.translate(_SHORT_ESCAPES) for line in lines)


def trace(error: BaseException | None) -> str:
    """Return types and places of an error and of what led to it, without their texts: these may quote a caller."""
    return "".join(_frames(error))


def _frames(error: BaseException | None) -> Iterator[str]:
    """Go back from cause to cause; `raise error from error` makes a circle of them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield f"{type(error).__name__}\n"
        yield from traceback.format_tb(error.__traceback__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _encoded(fields: Mapping[str, Any]) -> str:
    try:
        return msgspec.json.encode(fields, enc_hook=str).decode()
    except Exception:  # noqa: BLE001 - whatever a value is, its line is written
        return json.dumps(
            {name: value if isinstance(value, str | int) else _shown(value) for name, value in fields.items()}
        )


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - see above
        return f"<{type(value).__name__}>"
