"""Feedback on a request: names, types and units, which are the lake's column names. Pure.

A frame of it reaches the journal when it is received; whether it fits a request is found out in the lake, where late
and early feedback meet theirs. A comment is content and no part of it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = 1
"""Version of the lake's files of feedback; a reader accepts this one and the one before it."""

Thumb = Literal["up", "down"]
Signal = Literal["regenerated", "copied", "edited"]
"""What a user did with an answer without being asked: had another one made, copied it, edited it."""

LOWEST_RATING, HIGHEST_RATING = 1, 5


class Feedback(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="feedback"):
    """What an application said of one of its requests: a thumb, or a rating of 1 to 5, or a signal alone.

    Exactly one of `request_id` (a UUID in canonical form) and `response_id` names the request. `feedback_id` is a
    UUIDv7; `received_at` is microseconds since 1970 UTC; `seq` counts 1, 2, 3 ... within one `(worker, boot)`, apart
    from the requests' numbers.
    """

    feedback_id: str
    seq: int
    received_at: int
    application: str
    request_id: str | None = None
    response_id: str | None = None
    thumb: Thumb | None = None
    rating: int | None = None
    signal: Signal | None = None
