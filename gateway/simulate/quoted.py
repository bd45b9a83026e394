"""What a caller puts in quotation marks, and where a simulated answer takes it up, as a model would. Pure.

In JSON mode quoted names are the answer's keys; in a function's arguments quoted words are its free texts, in order.
"""

from __future__ import annotations

import re
from typing import Any, cast

_QUOTED = re.compile(r"""(?<!\w)(?:'([^'\n]{1,200})'|"([^"\n]{1,200})")(?!\w)""")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_BOUND = {"const", "enum", "format", "maxLength", "minLength", "pattern"}


def quoted(content: object) -> list[str]:
    """Return what a message's content quotes, in order; of parts those of text are read."""
    if isinstance(content, list):
        parts = [cast("dict[str, Any]", part) for part in cast("list[Any]", content) if isinstance(part, dict)]
        return [found for part in parts for found in quoted(part.get("text"))]
    return [single or double for single, double in _QUOTED.findall(content)] if isinstance(content, str) else []


def keys(quotes: list[str]) -> list[str]:
    """Return the different ones that can be names of fields; without any, `answer`."""
    return list(dict.fromkeys(quote for quote in quotes if _NAME.fullmatch(quote))) or ["answer"]


def taken_up(value: Any, schema: dict[str, Any], quotes: list[str]) -> Any:
    """Return an object by a schema with its free texts replaced by quotes, as far as both reach."""
    if not isinstance(value, dict):
        return value
    made = cast("dict[str, Any]", value)
    declared: dict[str, Any] = schema.get("properties") or {}
    free = [name for name in made if _is_free(declared.get(name))]
    return {**made, **dict(zip(free, quotes, strict=False))}


def _is_free(schema: Any) -> bool:
    known = cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}
    return known.get("type") == "string" and not _BOUND & set(known)
