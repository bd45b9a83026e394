"""Application and operator keys: their form, their fingerprint at rest, and what a role may do. Pure.

A key reads `tn_<role>_<id>_<secret>`. Only its HMAC under the installation's pepper is kept, so neither the ledger nor
a snapshot can be turned back into a key.
"""

from __future__ import annotations

import hmac
from typing import Literal, get_args

import msgspec

Role = Literal["app", "ops", "analyst", "rater", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
_ABSENT = bytes(32)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept: public id, role, and `fingerprint` (64 hex digits).

    `application` is the one that a key of role `app` calls for; of role `analyst` the one whose rows alone it may ask,
    None: all. No other role has one.
    """

    id: str
    role: Role
    fingerprint: str
    application: str | None = None
    label: str = ""
    created_at: int = 0
    revoked_at: int | None = None


class KeyParts(msgspec.Struct, frozen=True):
    """A presented key, taken apart but not yet believed."""

    role: str
    id: str


def compose(role: Role, key_id: str, secret: str) -> str:
    """Write a key; `key_id` is 12 hex digits, `secret` 32 random bytes in URL-safe base64."""
    return f"tn_{role}_{key_id}_{secret}"


def parse(text: str) -> KeyParts | None:
    """Take a key apart, or return None when it does not have a key's form."""
    head, _, rest = text.partition("_")
    role, _, rest = rest.partition("_")
    key_id, _, secret = rest.partition("_")
    if head != "tn" or role not in ROLES or not key_id or not secret:
        return None
    return KeyParts(role, key_id)


def fingerprint(pepper: bytes, text: str) -> str:
    """Return HMAC-SHA256(pepper, key) in hex."""
    return _digest(pepper, text).hex()


def matches(pepper: bytes, text: str, kept: Key | None) -> bool:
    """Tell whether the text is the kept key, in the same time whether `kept` exists or not."""
    expected = bytes.fromhex(kept.fingerprint) if kept is not None else _ABSENT
    return hmac.compare_digest(_digest(pepper, text), expected) and kept is not None and kept.revoked_at is None


def _digest(pepper: bytes, text: str) -> bytes:
    return hmac.digest(pepper, text.encode("utf-8", "surrogateescape"), "sha256")
