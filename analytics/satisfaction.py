"""How users like each arm's answers: thumbs, ratings, signals, and how many give any. Pure.

SQL counts; here it becomes figures (`figures.py`). Who says nothing is in no share of those who rated: hence the share
of answers that were rated always stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from analytics.figures import ClusterSums, Difference, Figure, ratio_difference, ratio_figure
from analytics.freshness import UNKNOWN, Freshness
from analytics.narrowing import Narrowing

RATIOS = ("satisfaction", "thumbs_up", "stars", "response_rate", "regenerated", "copied", "edited")
"""The figures, by the names that `queries/satisfaction.sql` gives their sums."""

_NOTHING = ClusterSums(users=0, n=0, x=0, xx=0, xn=0, nn=0)


class ArmSatisfaction(msgspec.Struct, frozen=True, kw_only=True):
    """What users said of one arm's answers; `docs/reports.md` says how each figure is computed.

    `answers` are the requests that were answered (`ok`). `satisfaction` is the share of rated requests with a thumb up,
    or 4 or 5 stars; `thumbs_up` of those with a thumb; `stars` the mean rating; `response_rate` the share of answers
    with a thumb or a rating; `regenerated`, `copied` and `edited` the shares of answers with such a signal. `levels`
    counts the ratings by their stars.
    """

    requests: int
    users: int
    answers: int
    satisfaction: Figure
    thumbs_up: Figure
    stars: Figure
    levels: dict[int, int]
    response_rate: Figure
    regenerated: Figure
    copied: Figure
    edited: Figure


class Satisfaction(Narrowing, frozen=True, kw_only=True):
    """Both arms' satisfaction, candidate minus base, and what the report is narrowed to.

    Times are microseconds since 1970 UTC: `first_at` and `last_at` of the requests in it, `as_of` when it was computed.
    Where the report is divided, `part` is the value that these requests have in common (None: they have none).
    """

    as_of: int
    first_at: int | None
    last_at: int | None
    base: ArmSatisfaction
    candidate: ArmSatisfaction
    difference: dict[str, Difference]
    by: str | None = None
    part: str | None = None
    freshness: Freshness = UNKNOWN


def arm_satisfaction(row: Mapping[str, Any]) -> ArmSatisfaction:
    """Return one arm's figures from its row of `queries/satisfaction.sql`."""
    sums = _sums(row)
    return ArmSatisfaction(
        requests=row["requests"],
        users=row["users"],
        answers=row["answers"],
        levels={one["stars"]: one["requests"] for one in row["levels"] or ()},
        **{name: ratio_figure(sums[name], is_share=name != "stars") for name in RATIOS},
    )


def differences(base: Mapping[str, Any], candidate: Mapping[str, Any]) -> dict[str, Difference]:
    """Return candidate minus base for every figure, from both arms' rows of `queries/satisfaction.sql`."""
    one, other = _sums(base), _sums(candidate)
    return {name: ratio_difference(one[name], other[name]) for name in RATIOS}


def _sums(row: Mapping[str, Any]) -> dict[str, ClusterSums]:
    found = {
        each["name"]: ClusterSums(**{part: each[part] for part in ClusterSums.__struct_fields__})
        for each in row["sums"] or ()
    }
    return {name: found.get(name, _NOTHING) for name in RATIOS}
