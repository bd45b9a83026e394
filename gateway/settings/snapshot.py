"""What workers decide by: definitions and ledger state in one signed, versioned, immutable value. Pure.

It carries references to secrets, never their values. `(epoch, version)` only rises: a worker refuses an older one.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Literal

import msgspec

from analytics.logline import LogLevel
from analytics.pricing import Price
from gateway.settings.plan_schema import PlanDefinition
from gateway.settings.schema import Application, Model, Upstream
from rollout.flag import Flag
from rollout.keys import Key

SCHEMA = 1
_SIGNATURE_BYTES = 32


class BadSnapshotError(ValueError):
    """A snapshot whose signature, schema or content cannot be trusted; the message says which."""


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """The host's limits, and what callers of silent streams are sent; as in `[server]`, which has their meaning."""

    max_buffered_bytes: int = 256 * 1024 * 1024
    max_upload_bytes: int = 512 * 1024 * 1024
    max_concurrent: int | None = None
    queue: int = 100
    queue_timeout_s: float = 5.0
    keep_alive_comment_s: float = 10.0


class SplitEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout as workers see it: the flag's state and the public names that lead to it.

    `evidence` and `plan` are the console's alone: it goes on with them where its file has become wrong.
    """

    flag: Flag
    also_for: tuple[str, ...] = ()
    fallback: bool = True
    evidence: Literal["required", "advised", "off"] = "advised"
    plan: PlanDefinition = PlanDefinition()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One version of everything; `compiled_at` is microseconds since 1970 UTC."""

    schema: int = SCHEMA
    epoch: int
    version: int
    compiled_at: int
    price_version: str
    max_body_bytes: int
    upstreams: dict[str, Upstream]
    models: dict[str, Model]
    rollouts: dict[str, SplitEntry]
    applications: dict[str, Application]
    keys: Sequence[Key]
    admission: Admission = Admission()
    log_level: LogLevel = "info"
    prices: dict[str, Price] = {}
    """Of models that are not in `models`."""

    @property
    def order(self) -> tuple[int, int]:
        """Return what decides which of two snapshots is newer."""
        return (self.epoch, self.version)

    @property
    def is_built_in(self) -> bool:
        """Tell whether no ledger has said this: see `built_in.py`."""
        return self.order == (0, 0)


def seal(snapshot: Snapshot, signing_key: bytes) -> bytes:
    """Return the snapshot as signed bytes: 32 bytes HMAC-SHA256, then JSON."""
    body = msgspec.json.encode(snapshot)
    return hmac.digest(signing_key, body, "sha256") + body


def is_signed(sealed: bytes, signing_key: bytes) -> bool:
    """Tell whether these bytes were sealed with this key, whatever they say."""
    signature, body = sealed[:_SIGNATURE_BYTES], sealed[_SIGNATURE_BYTES:]
    return hmac.compare_digest(signature, hmac.digest(signing_key, body, "sha256"))


def unseal(sealed: bytes, signing_key: bytes) -> Snapshot:
    """Check and decode signed bytes.

    Raises:
        BadSnapshotError: the signature is another installation's, or the content is damaged or of another schema.
    """
    body = sealed[_SIGNATURE_BYTES:]
    if not is_signed(sealed, signing_key):
        message = (
            "the snapshot's signature does not fit this installation's secret; "
            "give all hosts of a fleet the same master secret (TURNOUT_SECRET)"
        )
        raise BadSnapshotError(message)
    try:
        snapshot = msgspec.json.decode(body, type=Snapshot)
    except msgspec.MsgspecError as error:
        message = f"the snapshot cannot be read: {error}"
        raise BadSnapshotError(message) from error
    if snapshot.schema != SCHEMA:
        message = f"the snapshot has schema {snapshot.schema}; this version reads {SCHEMA}"
        raise BadSnapshotError(message)
    return snapshot
