"""Content: what was asked, answered and commented, where an application keeps it. Names and types of the lake. Pure.

Records never hold content. It has frames of its own, which are the first to be dropped when the disk refuses, and files
of its own in the lake, which are removed when their time is over.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1
"""Version of the lake's files of content; a reader accepts this one and the one before it."""

MAX_BODY_BYTES = 1024 * 1024 - 8 * 1024
"""The longest body that is kept whole: with what stands beside it, it fits a frame of 1 MiB."""

Kind = Literal["request", "answer", "comment"]
_DAY_US = 86_400_000_000
_RANDOM_DIGITS = 12
_RANDOM_RANGE = float(1 << 4 * _RANDOM_DIGITS)


class Content(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="content"):
    """One body: a request's as the caller sent it, an answer's as the caller got it, or a comment's text.

    `size_bytes` is that of the whole; `body` may be its beginning only, and then it `is_truncated`. Times are
    microseconds since 1970 UTC. A comment names its feedback, and the request as the feedback does. `seq` counts 1, 2,
    3 ... within one `(worker, boot)`, apart from requests and feedback; a number that is missing was lost.
    """

    kind: Kind
    seq: int
    application: str
    captured_at: int
    expires_at: int
    body: bytes
    size_bytes: int
    is_truncated: bool = False
    request_id: str | None = None
    response_id: str | None = None
    feedback_id: str | None = None
    endpoint: str | None = None
    content_type: str | None = None
    user_hash: bytes | None = None


def expiry(captured_at: int, days: int) -> int:
    """Return when content that is kept so many days expires, in microseconds since 1970 UTC."""
    return captured_at + days * _DAY_US


def is_sampled(request_id: str, share: float) -> bool:
    """Tell whether a request is among the sampled `share` (0 to 1): the same request always is, or never."""
    return int(request_id[-_RANDOM_DIGITS:], 16) / _RANDOM_RANGE < share
