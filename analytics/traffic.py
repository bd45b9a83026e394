"""Who was dealt to which arm, when and by what: how the split came out, beside what the flag asked for. Pure.

SQL counts; here it becomes figures. Whether the split is believed is for `srm.py` to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from analytics.freshness import UNKNOWN, Freshness
from analytics.narrowing import Narrowing, micros_of
from analytics.parts import places
from analytics.srm import Evenness, SampleRatio, evenness, sample_ratio

BINS = 100
_DAY_US = 86_400_000_000
Row = Mapping[str, Any]


class StepTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a rollout: what each arm was asked, by how many users, and whether that fits `percent` (0-100).

    A user counts once, for the arm of the first request. `crossed_users` were assigned both arms, which the split alone
    never does. `mixed_requests` were decided by another percentage; their users count by their other requests alone.
    """

    step: int | None
    percent: float | None
    first_at: int
    last_at: int
    base_requests: int
    candidate_requests: int
    base_users: int
    candidate_users: int
    crossed_users: int
    mixed_requests: int
    sample_ratio: SampleRatio | None


class PartTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """Requests and users of one part of a divided report; who was assigned both arms is a user of both."""

    name: str | None
    base_requests: int
    candidate_requests: int
    base_users: int
    candidate_users: int


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of an hour or a day that begins `at`, UTC."""

    at: int
    base_requests: int
    candidate_requests: int


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests have this `name` in a column; None: they have none."""

    name: str | None
    requests: int


class TrafficReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the traffic of one generation of a rollout was split; times are microseconds since 1970 UTC.

    `steps`, `days` and `hours` count the requests of the users whom the split placed, `buckets` these users.
    `sources` (where the user key was found) and `reasons` (why the arm) count all requests, pinned users' and those
    without a user too; `left_out` those made for other purposes, by purpose. `parts`: what `steps` counts, by what the
    report is divided `by`, if it is.
    """

    asked: Narrowing
    as_of: int
    first_at: int | None
    last_at: int | None
    base_requests: int
    candidate_requests: int
    steps: Sequence[StepTraffic]
    buckets: Evenness
    days: Sequence[Span]
    hours: Sequence[Span]
    sources: Sequence[Counted]
    reasons: Sequence[Counted]
    left_out: Sequence[Counted]
    by: str | None
    parts: Sequence[PartTraffic]
    freshness: Freshness = UNKNOWN


def traffic_report(rows: Iterable[Row], *, asked: Narrowing, as_of: int, by: str | None = None) -> TrafficReport:
    """Return the report that the rows of `queries/traffic.sql` make."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row["kind"], []).append(row)
    steps = [_step(row) for row in kinds.get("step", [])]
    hours = [_span(row) for row in kinds.get("hour", [])]
    bins = {row["bin"]: row["requests"] for row in kinds.get("bin", [])}
    return TrafficReport(
        asked=asked,
        as_of=as_of,
        first_at=min((one.first_at for one in steps), default=None),
        last_at=max((one.last_at for one in steps), default=None),
        base_requests=sum(one.base_requests for one in steps),
        candidate_requests=sum(one.candidate_requests for one in steps),
        steps=steps,
        buckets=evenness([bins.get(place, 0) for place in range(BINS)]),
        days=_days(hours),
        hours=hours,
        sources=_counted(kinds.get("source", [])),
        reasons=_counted(kinds.get("reason", [])),
        left_out=_counted(kinds.get("left_out", [])),
        by=by,
        parts=_parts(kinds.get("part", []), by),
    )


def _step(row: Row) -> StepTraffic:
    counts = {
        name: row[name] or 0
        for name in (
            "base_requests",
            "candidate_requests",
            "base_users",
            "candidate_users",
            "crossed_users",
            "mixed_requests",
        )
    }
    percent = None if row["percent"] is None else float(row["percent"])
    ratio = None if percent is None else sample_ratio(counts["base_users"], counts["candidate_users"], percent)
    return StepTraffic(
        step=row["step"],
        percent=percent,
        first_at=micros_of(row["first_at"]),
        last_at=micros_of(row["last_at"]),
        **counts,
        sample_ratio=ratio,
    )


def _parts(rows: Iterable[Row], by: str | None) -> list[PartTraffic]:
    found = [PartTraffic(**{name: row[name] for name in PartTraffic.__struct_fields__}) for row in rows]
    order = places(((one.name, one.base_requests + one.candidate_requests) for one in found), by)
    return sorted(found, key=lambda one: order[one.name])


def _span(row: Row) -> Span:
    counts = {name: row[name] or 0 for name in ("base_requests", "candidate_requests")}
    return Span(at=micros_of(row["hour"]), **counts)


def _days(hours: Iterable[Span]) -> list[Span]:
    days: dict[int, Span] = {}
    for one in hours:
        at = one.at - one.at % _DAY_US
        before = days.get(at, Span(at=at, base_requests=0, candidate_requests=0))
        days[at] = Span(
            at=at,
            base_requests=before.base_requests + one.base_requests,
            candidate_requests=before.candidate_requests + one.candidate_requests,
        )
    return list(days.values())


def _counted(rows: Iterable[Row]) -> list[Counted]:
    return [Counted(name=row["name"], requests=row["requests"]) for row in rows]
