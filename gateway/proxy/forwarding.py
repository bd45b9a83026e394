"""Which of a caller's headers an upstream is sent. Pure: an allow-list, so that what nobody thought of stays here.

The caller's credential is never among them; the upstream's own is added elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.errors import BadRequestError

ALWAYS = (b"accept", b"openai-beta", b"idempotency-key")
_USUAL_CONNECTION = (b"", b"keep-alive", b"close")


def forwarded(received: Mapping[bytes, bytes], also: Sequence[bytes]) -> dict[str, str]:
    """Return what is sent of the received headers: those of the list and of `also`, with the same bytes.

    Headers that `connection` names are meant for us alone (RFC 9110, section 7.6.1).

    Raises:
        BadRequestError: a listed header is no UTF-8.
    """
    connection = received.get(b"connection", b"").lower()
    ours = () if connection in _USUAL_CONNECTION else {name.strip() for name in connection.split(b",")}
    return {
        name.decode(): _text(name, value)
        for name in (*ALWAYS, *also)
        if name not in ours and (value := received.get(name))
    }


def _text(name: bytes, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        message = f"The header {name.decode()!r} is not valid UTF-8; send it as UTF-8, or leave it out."
        raise BadRequestError(message, param=name.decode(), code="invalid_header") from None
