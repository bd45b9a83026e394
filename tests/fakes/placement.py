"""Every record's arm once more, from who asked and what the console has acknowledged: no line of the product's.

`docs/buckets.md` and the record's own columns are what both follow.
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

Row = Mapping[str, Any]
_WORD = 0xFFFFFFFF


def misplaced(rows: Iterable[Row], secret: str, users: Iterable[str], percents: Mapping[str, float]) -> Iterator[str]:
    """Yield a line for each record that says something else than follows, and for each worker that went back in time.

    `percents` has the percent of each snapshot that changed it; before the first it was 0.
    """
    hash_key, salt_key = (hmac.digest(secret.encode(), label, "sha256") for label in (b"user-hash", b"salt"))
    known = {hmac.digest(hash_key, user.encode(), "sha256")[:16]: user for user in users}
    moments = sorted((_order(label), percent) for label, percent in percents.items())
    by_worker: defaultdict[tuple[Any, Any], list[Row]] = defaultdict(list)
    for row in rows:
        by_worker[row["worker"], row["boot"]].append(row)
        wanted = _wanted(row, known, salt_key, moments)
        found = {**{name: row[name] for name in wanted}, "percent": float(row["percent"])}
        if found != wanted:
            yield f"{row['request_id']}: the record says {found}, it should be {wanted}"
        if row["reason"] not in {"split", "stale"}:
            yield f"{row['request_id']}: placed by {row['reason']}"
    for worker, mine in by_worker.items():
        yield from (f"{worker}: {line}" for line in _steps_back(mine))


def _wanted(
    row: Row, known: Mapping[bytes, str], salt_key: bytes, moments: Sequence[tuple[tuple[int, ...], float]]
) -> dict[str, Any]:
    user = known[bytes(row["user_hash"])]
    salt = hmac.new(salt_key, f"{row['rollout']}{row['generation']}".encode(), hashlib.sha256).hexdigest()[:32]
    bucket = (murmur3(f"{salt}:{user}".encode()) * 10_000) >> 32
    at = bisect_right([moment for moment, _ in moments], _order(row["snapshot_version"]))
    percent = moments[at - 1][1] if at else 0.0
    return {
        "bucket": bucket,
        "percent": percent,
        "arm_assigned": "candidate" if bucket < round(percent * 100) else "base",
    }


def _steps_back(rows: Sequence[Row]) -> Iterator[str]:
    ordered = sorted(rows, key=lambda row: row["seq"])
    for before, after in pairwise(ordered):
        if _order(after["snapshot_version"]) < _order(before["snapshot_version"]):
            yield f"{after['snapshot_version']} after {before['snapshot_version']} (request {after['seq']})"


def _order(label: str) -> tuple[int, ...]:
    return tuple(map(int, label.split(".")))


def murmur3(key: bytes) -> int:
    """Return MurmurHash3 x86 32-bit of a key, seed 0 (Austin Appleby's, in the public domain)."""
    mixed = 0
    for at in range(0, len(key), 4):
        piece = key[at : at + 4]
        word = _rotated(int.from_bytes(piece, "little") * 0xCC9E2D51 & _WORD, 15) * 0x1B873593 & _WORD
        mixed ^= word
        if len(piece) == 4:
            mixed = (_rotated(mixed, 13) * 5 + 0xE6546B64) & _WORD
    mixed ^= len(key)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        mixed = (mixed ^ mixed >> shift) * factor & _WORD
    return mixed


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & _WORD
