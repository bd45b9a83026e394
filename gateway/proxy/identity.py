"""For which user an application calls, and by which of the application's sources. No I/O.

User keys are opaque bytes: no trimming, folding or normalisation. An application's request can never name a user by a
source that the application's settings do not list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from gateway.errors import BadRequestError
from gateway.proxy.snapshot import Caller
from gateway.settings.schema import UserSource

MAX_USER_KEY_BYTES = 512


class Reading(Protocol):
    """A body that was read, JSON or a form."""

    def text(self, name: str) -> str | None:
        """Return a field, or None; raises `BadRequestError` when it is no text."""
        ...

    def metadata_text(self, name: str) -> str | None:
        """Return a field of `metadata`, or None; raises as `text`."""
        ...


class User(msgspec.Struct, frozen=True):
    """The user key (None: anonymous) and where it was found; `none` when nowhere."""

    key: bytes | None
    source: str


ANONYMOUS = User(None, "none")


def identify(caller: Caller, headers: Mapping[bytes, bytes], reading: Reading) -> User:
    """Go down the application's ladder of sources; without a user key, follow its policy for anonymous requests.

    Raises:
        BadRequestError: a listed source holds a key that is not a string or is longer than 512 bytes.
    """
    application = caller.application
    for source in application.user_sources:
        key = _READERS[source](application.user_header, headers, reading)
        if key:
            return User(_checked(key, _NAMES[source] or application.user_header or source), source)
    return unnamed(caller, headers)


def unnamed(caller: Caller, headers: Mapping[bytes, bytes]) -> User:
    """Return for whom a request counts that names no user: the application's policy for anonymous requests.

    Raises:
        BadRequestError: the session's key is longer than 512 bytes.
    """
    application = caller.application
    if application.anonymous == "application":
        return User(caller.name.encode(), "application")
    if application.anonymous == "session" and (session := headers.get(application.session_header.encode())):
        return User(_checked(session, application.session_header), "session")
    return ANONYMOUS


def _checked(key: bytes, place: str) -> bytes:
    if len(key) > MAX_USER_KEY_BYTES:
        message = f"The user key in {place!r} has {len(key)} bytes; the limit is {MAX_USER_KEY_BYTES}."
        raise BadRequestError(message, param=place, code="user_key_too_long")
    return key


def _header(header: str | None, headers: Mapping[bytes, bytes], _: Reading) -> bytes | None:
    return headers.get(header.encode()) if header is not None else None


def _text(name: str) -> Callable[[str | None, Mapping[bytes, bytes], Reading], bytes | None]:
    def read(_: str | None, __: Mapping[bytes, bytes], reading: Reading) -> bytes | None:
        text = reading.text(name)
        return text.encode() if text else None

    return read


def _metadata(_: str | None, __: Mapping[bytes, bytes], reading: Reading) -> bytes | None:
    text = reading.metadata_text("user_id")
    return text.encode() if text else None


_READERS: Mapping[UserSource, Callable[[str | None, Mapping[bytes, bytes], Reading], bytes | None]] = {
    "header": _header,
    "safety_identifier": _text("safety_identifier"),
    "user": _text("user"),
    "metadata": _metadata,
}
_NAMES: Mapping[UserSource, str | None] = {
    "header": None,
    "safety_identifier": "safety_identifier",
    "user": "user",
    "metadata": "metadata.user_id",
}
