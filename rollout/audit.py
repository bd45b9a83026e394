"""The audit chain: who changed what, when and why. Pure: each entry's hash covers the one before it.

An entry that is altered, removed, added or moved breaks the chain at that place, and `fault` names it. The chain's head
is kept beside it, so that entries cut off at the end are missed too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import msgspec

GENESIS = "0" * 64
"""What the first entry follows."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change: `number` counts from 1, `at` is microseconds since 1970 UTC, `before` and `after` are plain JSON."""

    number: int
    at: int
    actor: str
    action: str
    rollout: str | None
    before: Any
    after: Any
    reason: str
    previous: str
    hash: str = ""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where a chain ends: how many entries, and the last one's hash."""

    count: int = 0
    hash: str = GENESIS


def canonical(value: Any) -> bytes:
    """Return JSON in the one spelling that hashes are taken over: sorted keys, no spaces, UTF-8, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def chained(entry: Entry) -> Entry:
    """Return the entry with its hash: SHA-256 over the previous hash and the entry's canonical JSON without hashes."""
    content = msgspec.to_builtins(entry)
    del content["hash"], content["previous"]
    digest = hashlib.sha256(entry.previous.encode() + canonical(content)).hexdigest()
    return msgspec.structs.replace(entry, hash=digest)


def fault(entries: Iterable[Entry], head: Head) -> str | None:
    """Return what is wrong with a whole chain, first entry first, or None when it is whole."""
    last = Head()
    for entry in entries:
        expected = last.count + 1
        if entry.number != expected:
            return f"audit entry {expected} is missing: entry {entry.number} stands in its place"
        if entry.previous != last.hash or not _fits(entry):
            return f"audit entry {entry.number} was altered: its hash does not fit its content and the entry before it"
        last = Head(count=entry.number, hash=entry.hash)
    if last != head:
        return f"the audit chain ends at entry {last.count}, but {head.count} were written"
    return None


def _fits(entry: Entry) -> bool:
    try:
        return chained(entry).hash == entry.hash
    except ValueError:
        return False
