"""Refuses what a careful reader would not take for what was meant: one thing said twice, a version that is text.

Which of the two counts would depend on who reads it. Nor is a misspelt word passed over where it would be missed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from gateway.errors import BadRequestError

REPEATABLE = "repeatable"
"""The key of a route's `opt` that names a word which may be repeated in its query."""
_SHOWN_CHARACTERS = 80


async def said_once(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request pass that has every word of its query, and every key of an object in its body, once.

    Raises:
        BadRequestError: it has not.
    """
    refuse_repeated_words([word for word, _ in connection.query_params.multi_items()], handler.opt.get(REPEATABLE))
    if isinstance(connection, Request):
        refuse_text_for_version(refuse_repeated_keys(await connection.body()))


def only_words(what: str, *known: str) -> Callable[[Request[Any, Any, Any]], None]:
    """Return what refuses a query with a word that is not known, where `what` is asked for, such as "a report".

    Ignored, it would leave an answer to another question than was asked, which looks like the one that was.
    """

    def refuse_others(request: Request[Any, Any, Any]) -> None:
        for word in request.query_params:
            if word not in known:
                message = f"{what} is not asked for by {word!r}; there are: {', '.join(known)}"
                raise BadRequestError(message, param=word)

    return refuse_others


def refuse_repeated_words(words: list[str], repeatable: str | None) -> None:
    """Refuse a word of a query that is there twice.

    Raises:
        BadRequestError: one is.
    """
    for word, times in Counter(words).items():
        if times > 1 and word != repeatable:
            message = f"{word[:_SHOWN_CHARACTERS]} is there {times} times in the query; send it once"
            raise BadRequestError(message, param=word[:_SHOWN_CHARACTERS])


def refuse_repeated_keys(body: bytes) -> object:
    """Return a JSON body in which no object, however deep, has a key twice; None of what is no JSON.

    Raises:
        BadRequestError: one has.
    """
    try:
        # As floating-point numbers integers of any length are read; Python's own have 4,300 digits at most.
        return json.loads(body, object_pairs_hook=_refuse_repeated, parse_int=float)
    except RecursionError as error:
        message = "the body is nested deeper than anything that is asked for here"
        raise BadRequestError(message) from error
    except ValueError:
        return None


def refuse_text_for_version(read: object) -> None:
    """Refuse a body whose `version` is text: Litestar would take it for the number in it.

    Raises:
        BadRequestError: it is.
    """
    version = cast("dict[str, object]", read).get("version") if isinstance(read, dict) else None
    if isinstance(version, str):
        message = f"version: {version[:_SHOWN_CHARACTERS]!r} is text; write a number without quotes"
        raise BadRequestError(message, param="version")


def _refuse_repeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    for name, times in Counter(name for name, _ in pairs).items():
        if times > 1:
            shown = name[:_SHOWN_CHARACTERS]
            message = f"the body names {shown!r} {times} times in one object; send each field once"
            raise BadRequestError(message, param=shown, code="duplicate_field")
    return dict(pairs)
