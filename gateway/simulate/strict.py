"""Read JSON bodies strictly: what is wrong is refused with 400 and the name of the field. Pure."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from gateway.errors import BadRequestError

_Kind = TypeVar("_Kind")


def decode(body: bytes, decoder: msgspec.json.Decoder[_Kind], kind: str) -> _Kind:
    """Read a body; `kind` is what the message calls a good one.

    Raises:
        BadRequestError: it is not JSON, or a field has the wrong type or range; `param` names the field.
    """
    try:
        if not body.isascii():
            body.decode()
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _refusal(error, kind) from error
    except (ValueError, RecursionError) as error:
        message = "We could not parse the JSON body of your request."
        raise BadRequestError(message) from error


def convert(value: Any, shape: type[_Kind], kind: str) -> _Kind:
    """Read fields that came as text, those of a form for instance.

    Raises:
        BadRequestError: as `decode`.
    """
    try:
        return msgspec.convert(value, shape, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(error, kind) from error


def _refusal(error: msgspec.ValidationError, kind: str) -> BadRequestError:
    field = re.search(r"`\$\.(\w+)", str(error)) or re.search(r"field `(\w+)`", str(error))
    message = f"The request body is not a {kind} request: {error}"
    return BadRequestError(message, param=field[1] if field else None)
