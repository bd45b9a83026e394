"""What people may write into the ledger: a line of printable text, a user key that a request could carry."""

from __future__ import annotations

from decimal import Decimal

from gateway.errors import BadRequestError

MAX_CHARACTERS = 500
MAX_USER_KEY_BYTES = 512
"""The data plane's own limit."""
_USER_HASH_DIGITS = 32


def plain_words(text: str, place: str) -> str:
    """Return the text when it is one line that a terminal, a log and a page can show.

    Raises:
        BadRequestError: it is longer than 500 characters, or has line breaks or control characters.
    """
    if len(text) > MAX_CHARACTERS:
        message = f"the {place} has {len(text)} characters; write at most {MAX_CHARACTERS}"
        raise BadRequestError(message, param=place)
    if not text.isprintable():
        message = f"the {place} has a line break, a control character or half a character; write one line of plain text"
        raise BadRequestError(message, param=place)
    return text


def plain_number(number: float) -> str:
    """Write a number as people do, without an exponent; NaN and infinities stay words."""
    return f"{Decimal(repr(number)):f}"


def user_key_bytes(text: str) -> bytes:
    """Return a user key as the data plane sees it: its UTF-8 bytes, unchanged.

    Raises:
        BadRequestError: it is empty, longer than 512 bytes, or has a lone surrogate.
    """
    try:
        key = text.encode()
    except UnicodeEncodeError:
        message = "the user key is not valid Unicode, so no request can carry it"
        raise BadRequestError(message, param="user") from None
    if not key:
        message = "the user key is empty, which means nobody; name a user"
        raise BadRequestError(message, param="user")
    if len(key) > MAX_USER_KEY_BYTES:
        message = f"the user key has {len(key)} bytes; the limit is {MAX_USER_KEY_BYTES}"
        raise BadRequestError(message, param="user")
    return key


def user_hash_bytes(digits: str) -> bytes:
    """Return the user hash of these digits.

    Raises:
        BadRequestError: they are none.
    """
    if len(digits) != _USER_HASH_DIGITS or set(digits) - set("0123456789abcdef"):
        message = (
            f"{digits!r} is not a user hash, which has 32 hexadecimal digits; `turnout rollout show` lists those pinned"
        )
        raise BadRequestError(message, param="user_hash")
    return bytes.fromhex(digits)
