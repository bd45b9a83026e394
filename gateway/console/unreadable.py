"""What is said of a request that cannot be read: the place as the caller wrote it, what is wrong, and what to write."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, get_args

from litestar import Request
from litestar.exceptions import HTTPException

from analytics.record import Arm, Purpose
from gateway.console.queries import Format

MAX_BODY_BYTES = 64 * 1024

WANTED: Mapping[str, str] = {
    "format": ", ".join(get_args(Format)),
    "purpose": ", ".join(get_args(Purpose)),
    "arm": ", ".join(get_args(Arm)),
    "id": "1 to 64 letters, digits, - and _",
}
"""What may be written where not every text may: msgspec names no choices, and a regular expression is no sentence."""
_NO_CHOICE, _NO_MATCH = "Invalid enum value", "Expected `str` matching regex"


def sentence(request: Request[Any, Any, Any], error: HTTPException) -> str:
    """Return the sentence for what Litestar refuses."""
    if error.status_code in {404, 405}:
        return f"there is no {request.method} {request.scope['path']}; /api/v1/openapi.json lists what there is"
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return f"the body is larger than {MAX_BODY_BYTES // 1024} KiB, which is what the console reads of one request"
    problems = error.extra if isinstance(error.extra, list) else []
    places = [_place(problem.get("key", ""), problem.get("message", "")) for problem in problems]
    if places == ["the body: 'data'"]:
        return "this request needs a JSON body"
    return f"the request cannot be read: {'; '.join(places or [error.detail])}"


def _place(key: str, message: str) -> str:
    """Return a place, as a caller writes what a handler calls so, and what is wrong there."""
    written = {"data": "the body", "form": "format"}.get(key, key)
    if message.startswith(_NO_CHOICE):
        return f"{written}: {message}; write one of {WANTED[written]}"
    if message.startswith(_NO_MATCH):
        return f"{written}: write {WANTED[written]}"
    return f"{written}: {message}"
