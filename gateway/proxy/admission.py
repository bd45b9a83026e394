"""Who may pass: path rules, the caller's key, what its headers may say. No I/O; bodies are counted by `caller.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import get_args

from analytics.record import Purpose
from gateway.errors import BadRequestError, ForbiddenError, NotFoundError, ShedError, UnauthorizedError
from gateway.proxy.snapshot import Caller, Decisions

PURPOSE_HEADER = b"x-turnout-purpose"
TAGS_HEADER = b"x-turnout-tags"

_SLASH = r"[/\\]|%2f|%5c"
_DOTS = re.compile(rf"(?:^|{_SLASH})(?:\.|%2e){{1,2}}(?:$|[?#;]|{_SLASH})", re.IGNORECASE)
"""A dot segment, encoded or behind an encoded slash too: joined to an upstream's URL it would leave it, key and all."""
_SINGLE = frozenset({b"authorization", b"content-encoding", b"idempotency-key", PURPOSE_HEADER, TAGS_HEADER})
_PURPOSES: tuple[str, ...] = get_args(Purpose)
_MAX_TAGS = 16
_MAX_TAG_CHARACTERS = 64
_SHOWN_CHARACTERS = 100


def check_path(path: str) -> None:
    """Refuse a path that could mean another one to an upstream; raises `BadRequestError`."""
    if _DOTS.search(path):
        message = "The path holds a dot segment ('.' or '..'); send the plain path."
        raise BadRequestError(message, code="bad_path")


def admit(decisions: Decisions, headers: Mapping[bytes, bytes]) -> Caller:
    """Return the application that calls.

    Raises:
        UnauthorizedError: no key, or none that is known; the message has the remedy.
        ShedError: it may be known to the console, from which nothing has been heard yet.
    """
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    token = token.strip()
    if not token or scheme.lower() != "bearer":
        message = "No API key was sent. Send your application's key as 'Authorization: Bearer <key>'."
        raise UnauthorizedError(message)
    caller = decisions.caller(token)
    if caller is None and "," in token:
        message = "More than one API key was sent; send the header 'authorization' once, with your application's key."
        raise UnauthorizedError(message)
    if caller is None and decisions.awaits_keys(token):
        message = "This gateway has not heard from its console yet and does not know all keys; try again."
        raise ShedError(message, error_class="keys_unknown")
    if caller is None:
        message = (
            "The API key is no application's key that is known here, or it was revoked. "
            "Ask the operator for one ('turnout key create')."
        )
        raise UnauthorizedError(message)
    return caller


def check_repeated(caller: Caller, repeated: AbstractSet[bytes]) -> None:
    """Refuse a header sent twice where it may stand once: which of two user keys counts must not depend on who reads.

    Raises:
        BadRequestError: `param` names the header.
    """
    application = caller.application
    session_header = application.session_header if application.anonymous == "session" else None
    named = {name.encode() for name in (application.user_header, session_header) if name is not None}
    for name in sorted(repeated & (_SINGLE | named)):
        message = f"The header {name.decode()!r} was sent more than once; send it once."
        raise BadRequestError(message, param=name.decode(), code="repeated_header")


def purpose(caller: Caller, headers: Mapping[bytes, bytes]) -> Purpose:
    """Return what the request is for: `live` unless it says something else, and either as the application may.

    Raises:
        BadRequestError: no such purpose.
        ForbiddenError: the application may not use it.
    """
    asked = headers.get(PURPOSE_HEADER, b"live")
    for known in caller.application.purposes:
        if asked == known.encode():
            return known
    if asked.decode("latin-1") not in _PURPOSES:
        message = f"The header x-turnout-purpose must be one of {', '.join(_PURPOSES)}."
        raise BadRequestError(message, param="x-turnout-purpose", code="invalid_purpose")
    message = (
        f"The application {caller.name!r} may send requests for {', '.join(caller.application.purposes)} alone, as "
        "x-turnout-purpose says (without it: live); the operator lists others under 'purposes'."
    )
    raise ForbiddenError(message, param="x-turnout-purpose", code="purpose_not_permitted")


def tags(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Read `x-turnout-tags: name=value,name=value`: at most 16 pairs of at most 64 characters.

    Raises:
        BadRequestError: it has another form.
    """
    sent = headers.get(TAGS_HEADER)
    if not sent:
        return {}
    pairs = [pair.partition("=") for pair in sent.decode("utf-8", "surrogateescape").split(",")]
    read = {name.strip(): value.strip() for name, _, value in pairs}
    if not len(read) == len(pairs) <= _MAX_TAGS or not all(_is_tag(part) for pair in read.items() for part in pair):
        message = (
            "The header x-turnout-tags must read name=value,name=value: at most 16 pairs of at most 64 characters, "
            "each name once."
        )
        raise BadRequestError(message, param="x-turnout-tags", code="invalid_tags")
    return read


def unknown_model(model: str, *, is_default: bool = False) -> NotFoundError:
    """Return the refusal of a model name that leads nowhere; `is_default`: the request named none."""
    shown = model if len(model) <= _SHOWN_CHARACTERS else f"{model[:_SHOWN_CHARACTERS]}..."
    message = f"The model {shown!r} does not exist here; GET /v1/models lists the names that do."
    if is_default:
        message = (
            f"The request names no model, so the default {shown!r} was taken, which does not exist here; "
            "set 'model' to one of the names that GET /v1/models lists."
        )
    return NotFoundError(message, param="model", code="model_not_found")


def _is_tag(text: str) -> bool:
    return 0 < len(text) <= _MAX_TAG_CHARACTERS and text.isprintable()
