"""What failed, in groups of what is alike: where, how often, since when, and whether anybody saw it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from analytics.freshness import UNKNOWN, Freshness
from analytics.narrowing import Narrowing, micros_of


class FailureGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failures that are alike: tries that failed, or requests that failed without one.

    `arm`, `model`, `upstream`, `error_class` and `status` are those of the try; without one `arm`, `model` and
    `status` are the request's. `outcome`: how the request ended; `rescued_by`: `fallback` or `another try`, where it
    was answered all the same; `part`: by what the report is divided, if it is. `failures` are of so many `requests` and
    `users`; `share` (0-1) is the requests' of all that are counted. `examples`: ids of the newest requests. Times are
    microseconds since 1970 UTC.
    """

    arm: str | None
    model: str | None
    upstream: str | None
    outcome: str
    error_class: str | None
    status: int | None
    endpoint: str | None
    rescued_by: str | None
    part: str | None
    failures: int
    requests: int
    share: float
    users: int
    first_at: int
    last_at: int
    examples: Sequence[str]


class FailureReport(msgspec.Struct, frozen=True, kw_only=True):
    """All failures of some requests, the most frequent first.

    Of `requests`, `failed` ended as `upstream_error`, `timeout`, `malformed` or `interrupted`; `client_errors` were
    refused by a model's server and `refused` by the gateway; `rescued_by_fallback` and `rescued_by_another_try` failed
    at first, which no caller saw. `group_count` counts the groups there are, also those beyond the `groups` listed.
    `left_out_forced`, `left_out_not_live`: requests that were not asked about.
    """

    asked: Narrowing
    as_of: int
    first_at: int | None
    last_at: int | None
    requests: int
    failed: int
    client_errors: int
    refused: int
    rescued_by_fallback: int
    rescued_by_another_try: int
    left_out_forced: int
    left_out_not_live: int
    by: str | None
    group_count: int
    groups: Sequence[FailureGroup]
    freshness: Freshness = UNKNOWN


_COUNTS = ("requests", "failed", "client_errors", "refused", "rescued_by_fallback", "rescued_by_another_try")
_OWN = (
    "arm",
    "model",
    "upstream",
    "outcome",
    "error_class",
    "status",
    "endpoint",
    "rescued_by",
    "part",
    "failures",
    "users",
)


def failure_report(
    rows: Sequence[Mapping[str, Any]], *, asked: Narrowing, as_of: int, by: str | None = None
) -> FailureReport:
    """Return the report that the rows of `queries/errors.sql` make."""
    [whole] = [row for row in rows if row["is_whole"]]
    return FailureReport(
        asked=asked,
        as_of=as_of,
        first_at=None if whole["first_at"] is None else micros_of(whole["first_at"]),
        last_at=None if whole["last_at"] is None else micros_of(whole["last_at"]),
        **{name: whole[name] for name in (*_COUNTS, "left_out_forced", "left_out_not_live")},
        by=by,
        group_count=whole["groups"],
        groups=[_group(row, whole["requests"]) for row in rows if not row["is_whole"]],
    )


def _group(row: Mapping[str, Any], requests: int) -> FailureGroup:
    return FailureGroup(
        **{name: row[name] for name in _OWN},
        requests=row["requests"],
        share=row["requests"] / requests,
        first_at=micros_of(row["first_at"]),
        last_at=micros_of(row["last_at"]),
        examples=[str(one) for one in row["examples"]],
    )
