"""`/api/v1/reports`.

Reports wait for each other, in threads of their own: however many are asked for, a rollback finds its thread.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter

from analytics.comparison import Comparison
from analytics.costs import CostReport
from analytics.failures import FailureReport
from analytics.record import Purpose
from analytics.satisfaction import Satisfaction
from analytics.traffic import TrafficReport
from gateway.console.auth import permits
from gateway.console.narrowing import Asked
from gateway.console.once import REPEATABLE, only_words
from gateway.console.reports import Reports

Counted = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1)]
"""A generation of a rollout, or a step of its story: both count from 1."""


def asked_for(  # noqa: PLR0913 - each is a word of the query
    *,
    rollout: FromQuery[str | None] = None,
    generation: Counted = None,
    step: Counted = None,
    phase: FromQuery[str | None] = None,
    application: FromQuery[str | None] = None,
    endpoint: FromQuery[str | None] = None,
    tag: FromQuery[list[str] | None] = None,
    purpose: FromQuery[Purpose] = "live",
    forced: FromQuery[bool] = False,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
    by: FromQuery[str | None] = None,
) -> Asked:
    """Return which requests a report is about: every report takes these words."""
    return Asked(
        rollout=rollout,
        generation=generation,
        step=step,
        phase=phase,
        application=application,
        endpoint=endpoint,
        tag=tuple(tag or ()),
        purpose=purpose,
        forced=forced,
        since=since,
        until=until,
        by=by,
    )


_WORDS = ("a report", *Asked.__struct_fields__)
_NARROWED_ONLY = only_words(*_WORDS)
_OPT = {**permits("ops", "analyst", "admin"), REPEATABLE: "tag"}
NARROWED = {"asked": Provide(asked_for, sync_to_thread=False)}


@get(
    "/reports/compare",
    opt=_OPT,
    dependencies=NARROWED,
    before_request=only_words(*_WORDS, "as_treated"),
)
async def compare_arms(
    reports: NamedDependency[Reports],
    asked: NamedDependency[Asked],
    *,
    as_treated: FromQuery[bool] = False,
) -> Comparison | list[Comparison]:
    """Compare the two arms of a rollout, by default the only one; with `by` a list, one for each part."""
    compare = reports.compare if asked.by is None else partial(reports.compare_by, asked.by)
    return await reports.threads.run(partial(compare, asked, as_treated=as_treated))


@get("/reports/satisfaction", opt=_OPT, dependencies=NARROWED, before_request=_NARROWED_ONLY)
async def satisfaction(
    reports: NamedDependency[Reports], asked: NamedDependency[Asked]
) -> Satisfaction | list[Satisfaction]:
    """Tell what users say of both arms' answers; with `by` a list, one for each part."""
    answer = reports.satisfaction if asked.by is None else partial(reports.satisfaction_by, asked.by)
    return await reports.threads.run(partial(answer, asked))


@get("/reports/cost", opt=_OPT, dependencies=NARROWED, before_request=_NARROWED_ONLY)
async def report_cost(reports: NamedDependency[Reports], asked: NamedDependency[Asked]) -> CostReport:
    """Tell what requests cost, and what a month of one arm alone would; without a rollout of all traffic."""
    return await reports.threads.run(partial(reports.cost, asked))


@get("/reports/errors", opt=_OPT, dependencies=NARROWED, before_request=_NARROWED_ONLY)
async def report_errors(reports: NamedDependency[Reports], asked: NamedDependency[Asked]) -> FailureReport:
    """Tell what failed, in groups of what is alike; without a rollout of all traffic."""
    return await reports.threads.run(partial(reports.errors, asked))


@get("/reports/traffic", opt=_OPT, dependencies=NARROWED, before_request=_NARROWED_ONLY)
async def report_traffic(reports: NamedDependency[Reports], asked: NamedDependency[Asked]) -> TrafficReport:
    """Tell how a rollout's users and requests were split, by default those of the only one."""
    return await reports.threads.run(partial(reports.traffic, asked))
