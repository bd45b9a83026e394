"""The knob of a rollout: percent, salt, forced users, versions. Pure.

A flag's `version` counts its changes; whoever changes it names the version that they saw. Its `generation` counts its
candidates: a new base or candidate starts a new generation with percent 0 and a new salt.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from analytics.record import Arm

_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,400})?")
_BUCKET = Decimal("0.01")


class BadPercentError(ValueError):
    """A percent that is not a number from 0 to 100 with at most two decimals; the message names the remedy."""


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout's state: everything `assign` decides by.

    `percent` is 0-100 in steps of 0.01. `forced` maps user hashes (32 hex digits; raw user keys are never kept) to
    arms. `step` counts the changes of percent within the generation: no statistic crosses one.
    """

    rollout: str
    flag: str
    base: str
    candidate: str
    salt: str
    version: int = 1
    generation: int = 1
    step: int = 0
    phase: str | None = None
    percent: float = 0.0
    forced: Mapping[str, Arm] = {}


def parse_percent(text: str) -> float:
    """Read a percent as people write it.

    Raises:
        BadPercentError: it is not a plain number, not within 0..100, or finer than a bucket (0.01 %).
    """
    if not _NUMBER.fullmatch(text):
        bare = text.strip().removesuffix("%").strip()
        remedy = f"; write {bare}" if bare != text.strip() and bare[-1:].isdigit() else ""
        message = f"percent {text!r} is not a number{remedy or '; write a number from 0 to 100, such as 10 or 2.5'}"
        raise BadPercentError(message)
    number = Decimal(text)
    if not 0 <= number <= 100:
        message = f"percent {text} is outside 0 to 100"
        raise BadPercentError(message)
    if number != number.quantize(_BUCKET):
        message = f"percent {text} is finer than a bucket (0.01 %); write {max(number.quantize(_BUCKET), _BUCKET)}"
        raise BadPercentError(message)
    return abs(float(number))


def derived_salt(salt_key: bytes, rollout: str, generation: int) -> str:
    """Return the generation's salt: the first 32 hex digits of HMAC-SHA256(salt key, rollout + generation)."""
    return hmac.new(salt_key, f"{rollout}{generation}".encode(), hashlib.sha256).hexdigest()[:32]


def user_hash(hash_key: bytes, user_key: bytes) -> bytes:
    """Return the 16 bytes by which a user is known at rest: HMAC-SHA256 of the raw user key, halved."""
    return hmac.digest(hash_key, user_key, "sha256")[:16]
