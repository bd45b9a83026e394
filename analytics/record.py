"""The record of one request: names, types and units, which are the lake's column names. Pure.

Two frames of a request reach the journal: `Opened` before anything is sent upstream, and `Record` before the caller can
know that the answer is complete. A request whose `Record` never came becomes one by `interrupted`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from analytics.content import Content
from analytics.feedback import Feedback

SCHEMA = 1
"""Version of the frames below; a reader accepts this one and the one before it."""

Outcome = Literal[
    "ok",
    "upstream_error",
    "timeout",
    "malformed",
    "client_cancelled",
    "client_error",
    "rejected",
    "shed",
    "interrupted",
]
"""How a request ended. `client_error`: the upstream refused the caller's request (4xx); `rejected`: the gateway did."""

Arm = Literal["base", "candidate"]
Purpose = Literal["live", "shadow", "eval", "judge", "probe"]
UsageSource = Literal["reported", "estimated", "missing"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at one upstream: what was called, how it ended, how long it took (`upstream_ms`), what it cost."""

    arm: Arm | None
    model: str | None
    upstream: str
    status: int | None
    error_class: str | None
    upstream_ms: float | None
    cost_usd: float | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="opened"):
    """What is known of a request before it is sent upstream. Field meanings: see `Record`."""

    request_id: str
    seq: int
    started_at: int
    application: str | None = None
    endpoint: str | None = None
    rollout: str | None = None
    generation: int | None = None
    phase: str | None = None
    step: int | None = None
    snapshot_version: str | None = None
    config_source: str | None = None
    percent: float | None = None
    bucket: int | None = None
    arm_assigned: Arm | None = None
    reason: str | None = None
    user_hash: bytes | None = None
    user_source: str | None = None
    model_requested: str | None = None
    stream: bool = False
    purpose: Purpose = "live"
    tags: dict[str, str] = {}
    deadline_at: int | None = None
    """When the request's total timeout ends, microseconds since 1970 UTC: unfinished 60 s later, it is interrupted."""
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="record"):
    """One request, settled.

    `request_id` is a UUIDv7 in its canonical form; `seq` counts 1, 2, 3 ... within one `(worker, boot)`, both of which
    stand in the segment's head. `started_at` is microseconds since 1970 UTC; `*_ms` are milliseconds on a monotonic
    clock; `percent` is 0-100; `bucket` 0-9999; `user_hash` 16 bytes; counts are tokens. `cost_usd` is None when
    unknown, and `cost_unknown` then says why.
    """

    request_id: str
    seq: int
    started_at: int
    outcome: Outcome
    response_id: str | None = None
    application: str | None = None
    endpoint: str | None = None
    rollout: str | None = None
    generation: int | None = None
    phase: str | None = None
    step: int | None = None
    snapshot_version: str | None = None
    config_source: str | None = None
    percent: float | None = None
    bucket: int | None = None
    arm_assigned: Arm | None = None
    arm_served: Arm | None = None
    reason: str | None = None
    user_hash: bytes | None = None
    user_source: str | None = None
    model_requested: str | None = None
    model_served: str | None = None
    upstream: str | None = None
    stream: bool = False
    status: int | None = None
    error_class: str | None = None
    attempts: list[Attempt] = []
    fallback_reason: str | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    upstream_ms: float | None = None
    overhead_ms: float | None = None
    output_ms: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    output_audio_tokens: int | None = None
    usage_source: UsageSource | None = None
    cost_usd: float | None = None
    cost_unknown: str | None = None
    price_version: str | None = None
    finish_reason: str | None = None
    purpose: Purpose = "live"
    tags: dict[str, str] = {}
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None


Frame = Opened | Record | Feedback | Content
"""What a journal holds. A reader of an earlier version steps over kinds that it does not know."""

_SHARED = tuple(name for name in Opened.__struct_fields__ if name in Record.__struct_fields__)


def interrupted(opened: Opened) -> Record:
    """Settle a request that was opened and never closed: its facts, no answer, outcome `interrupted`."""
    known = {name: getattr(opened, name) for name in _SHARED}
    return Record(outcome="interrupted", usage_source="missing", cost_unknown="no_usage", **known)


def uuid7(at_us: int, noise: bytes) -> str:
    """Return a UUIDv7 (RFC 9562) in canonical form: milliseconds of `at_us`, then 74 of the 80 bits of `noise`."""
    digits = f"{at_us // 1000 & 0xFFFF_FFFF_FFFF:012x}{noise.hex()}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
