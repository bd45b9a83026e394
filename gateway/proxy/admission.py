"""Who may pass: path rules, the caller's key, the purpose it asks for. No I/O; bodies are counted by `caller.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import get_args

from analytics.record import Purpose
from gateway.errors import BadRequestError, ForbiddenError, UnauthorizedError
from gateway.proxy.snapshot import Caller, Decisions

PURPOSE_HEADER = b"x-turnout-purpose"
TAGS_HEADER = b"x-turnout-tags"

_DOTS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:$|[/?#;])|%2f|%5c|\\", re.IGNORECASE)
"""Dot segments and hidden slashes, encoded or not: joined to an upstream's URL they would leave it, key and all."""
_PURPOSES: tuple[str, ...] = get_args(Purpose)
_MAX_TAGS = 16
_MAX_TAG_CHARACTERS = 64


def check_path(path: str) -> None:
    """Refuse a path that could mean another one to an upstream; raises `BadRequestError`."""
    if _DOTS.search(path):
        message = "The path holds a dot segment or an encoded slash; send the plain path."
        raise BadRequestError(message, code="bad_path")


def admit(decisions: Decisions, headers: Mapping[bytes, bytes]) -> Caller:
    """Return the application that calls; raises `UnauthorizedError` with the remedy."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    token = token.strip()
    if not token or scheme.lower() != "bearer":
        message = "No API key was sent. Send your application's key as 'Authorization: Bearer <key>'."
        raise UnauthorizedError(message)
    caller = decisions.caller(token)
    if caller is None:
        message = "The API key is not known here, or was revoked. Ask the operator for a key ('turnout key create')."
        raise UnauthorizedError(message)
    return caller


def purpose(caller: Caller, headers: Mapping[bytes, bytes]) -> Purpose:
    """Return what the request is for; anything but `live` needs the application's permission.

    Raises:
        BadRequestError: no such purpose.
        ForbiddenError: the application may not use it.
    """
    asked = headers.get(PURPOSE_HEADER)
    if asked is None:
        return "live"
    for known in caller.application.purposes:
        if asked == known.encode():
            return known
    if asked.decode("latin-1") not in _PURPOSES:
        message = f"The header x-turnout-purpose must be one of {', '.join(_PURPOSES)}."
        raise BadRequestError(message, param="x-turnout-purpose", code="invalid_purpose")
    message = f"The application {caller.name!r} may not use this purpose; the operator lists it under 'purposes'."
    raise ForbiddenError(message, param="x-turnout-purpose", code="purpose_not_permitted")


def tags(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Read `x-turnout-tags: name=value,name=value`: at most 16 pairs of at most 64 characters.

    Raises:
        BadRequestError: it has another form.
    """
    text = headers.get(TAGS_HEADER, b"").decode("utf-8", "replace")
    if not text:
        return {}
    pairs = [pair.partition("=") for pair in text.split(",")]
    if len(pairs) > _MAX_TAGS or not all(_is_tag(name) and equals and _is_tag(value) for name, equals, value in pairs):
        message = (
            "The header x-turnout-tags must read name=value,name=value: at most 16 pairs of at most 64 characters."
        )
        raise BadRequestError(message, param="x-turnout-tags", code="invalid_tags")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _is_tag(text: str) -> bool:
    return 0 < len(text.strip()) <= _MAX_TAG_CHARACTERS and text.isprintable()
