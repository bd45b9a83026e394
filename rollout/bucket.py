"""Which bucket a user falls into. Pure and frozen: `HASH_VERSION` 1 never changes, or users would change arms."""

from __future__ import annotations

import mmh3

HASH_VERSION = 1
BUCKETS = 10_000
"""A bucket is 0.01 % of users."""


def bucket(salt: str, user_key: bytes) -> int:
    """Return 0..9999 for the user key's bytes: MurmurHash3 x86 32-bit of `salt:user_key`, seed 0, scaled down.

    The known answers stand in `tests/vectors/bucket-vectors.json`.
    """
    return spread(salt.encode() + b":" + user_key)


def spread(salted_key: bytes) -> int:
    """Return 0..9999 for a key that already carries its salt."""
    return (mmh3.hash(salted_key, 0, signed=False) * BUCKETS) >> 32


def threshold(percent: float) -> int:
    """Return how many buckets a percent (0-100, at most two decimals) gives to the candidate: 0..10000."""
    return round(percent * 100)
