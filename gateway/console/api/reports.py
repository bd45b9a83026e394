"""`/api/v1/reports`.

Reports wait for each other, in threads of their own number: however many are asked for, a rollback finds its thread.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import anyio.to_thread
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from analytics.comparison import Comparison
from gateway.console.auth import permits
from gateway.console.reports import Reports

Counted = Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1)]
"""A generation of a rollout, or a step of its story: both count from 1."""


@get("/reports/compare", opt=permits("ops", "analyst", "admin"))
async def compare_arms(
    reports: NamedDependency[Reports],
    rollout: FromQuery[str | None] = None,
    generation: Counted = None,
    step: Counted = None,
    endpoint: FromQuery[str | None] = None,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
) -> Comparison:
    """Compare the two arms of a rollout; without a name the only rollout there is."""
    question = partial(
        reports.compare, rollout, generation=generation, step=step, endpoint=endpoint, since=since, until=until
    )
    return await anyio.to_thread.run_sync(question, limiter=reports.turns)
