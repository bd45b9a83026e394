"""What a step is measured by: base's quantiles before it, and which feedback base had more of. Pure.

Law: a threshold is frozen before it is used, so that what is slower than it is a plain share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from analytics.evidence import Answered, Check

LEAST_ROWS = 1000
"""With fewer answers of base a quantile is not taken."""

LEAST_STREAMED = 0.2
"""If a smaller share of base's answers is streamed, the time to the first token says little: it does not apply."""


class BaseAnswers(Answered, frozen=True, kw_only=True):
    """Base's answers of some time, and their quantiles.

    Quantiles in milliseconds, interpolated between neighbours; None where none was timed. `thumbs` and `ratings`:
    verdicts that count, on any of base's requests.
    """

    p50_ms: float | None = None
    p99_ms: float | None = None
    ttft_ms: float | None = None
    thumbs: int = 0
    ratings: int = 0


class References(msgspec.Struct, frozen=True, kw_only=True):
    """Q0 in milliseconds of each latency check that applies, None while there are too few; which feedback counts."""

    latencies: Mapping[Check, float | None]
    rating: Literal["thumb", "rating"] = "thumb"


def references_of(base: BaseAnswers) -> References:
    """Return what base's answers make of a step's references; `ttft` is left out where too few answers are streamed."""
    found: dict[Check, float | None] = {
        "p50": base.p50_ms if base.timed >= LEAST_ROWS else None,
        "p99": base.p99_ms if base.timed >= LEAST_ROWS else None,
    }
    if base.answers < LEAST_ROWS:
        found["ttft"] = None
    elif is_streaming(base):
        found["ttft"] = base.ttft_ms if base.first_tokens >= LEAST_ROWS else None
    return References(latencies=found, rating="rating" if base.ratings > base.thumbs else "thumb")


def counting(check: Check, base: Answered) -> int:
    """Return how many of the `LEAST_ROWS` answers base has given by which a latency check's Q0 is taken.

    Of `ttft` all answers count until they tell that enough are streamed to ask for it.
    """
    if check != "ttft":
        return base.timed
    return base.first_tokens if is_streaming(base) else base.answers


def is_streaming(base: Answered) -> bool:
    """Tell whether base streams enough of what it has answered for `ttft` to be asked for."""
    return base.answers > 0 and base.streamed >= LEAST_STREAMED * base.answers
