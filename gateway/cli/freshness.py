"""How people are told how fresh an answer is."""

from __future__ import annotations

from collections.abc import Iterator

from analytics.freshness import Freshness, clock_time

_AT_ONCE_S = 0.05
_MINUTES_FROM_S = 120
_HOURS_FROM_S = 7200


def freshness_lines(freshness: Freshness, asked_at: int) -> Iterator[str]:
    """Yield a sentence, and one for each thing that is amiss; `asked_at` is microseconds since 1970 UTC."""
    fresh_to = freshness.fresh_to
    if fresh_to is None:
        yield "How fresh this is, nobody can tell: no host has told how far it has come."
    elif asked_at - fresh_to < _AT_ONCE_S * 1_000_000:
        yield f"Everything that had ended by {clock_time(fresh_to)} is in it: the moment of the question."
    else:
        ago = _ago((asked_at - fresh_to) / 1_000_000)
        yield f"Everything that had ended by {clock_time(fresh_to)} is in it: {ago} before the question."
    for warning in freshness.warnings:
        yield f"warning: {warning}"


def _ago(seconds: float) -> str:
    if seconds < _MINUTES_FROM_S:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < _HOURS_FROM_S else f"{seconds / 3600:.1f} h"
