"""The warehouse's other reports, beside the head-to-head table: a question of `queries/`, and what its rows make.

Each may be divided `by` what `narrowing.BY` lists, or by a tag, and then has `parts` (or groups) of them besides.
"""

from __future__ import annotations

from collections.abc import Mapping

from analytics.costs import CostReport, cost_report
from analytics.failures import FailureReport, failure_report
from analytics.narrowing import Narrowing, sql_struct
from analytics.traffic import TrafficReport, traffic_report
from analytics.warehouse.database import Answers

MOST_GROUPS = 1000
"""A report on failures lists no more groups, and says how many there are."""


def cost(
    warehouse: Answers, to: Narrowing, *, as_of: int, present: Mapping[str, int], by: str | None = None
) -> CostReport:
    """Return what requests cost: those of a generation of a rollout, or all; `present`: the generations to project.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    rows = warehouse.ask("cost", {"asked": sql_struct(to, by)})
    return cost_report(rows, asked=to, as_of=as_of, present=present, by=by)


def errors(
    warehouse: Answers, to: Narrowing, *, as_of: int, by: str | None = None, most: int = MOST_GROUPS
) -> FailureReport:
    """Return what failed of the requests of a generation of a rollout, or of all.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    rows = warehouse.ask("errors", {"asked": sql_struct(to, by), "most": most})
    return failure_report(rows, asked=to, as_of=as_of, by=by)


def traffic(warehouse: Answers, to: Narrowing, *, as_of: int, by: str | None = None) -> TrafficReport:
    """Return how the requests of one generation of a rollout were split.

    Raises:
        WarehouseError: the lake gives no answer.
    """
    return traffic_report(warehouse.ask("traffic", {"asked": sql_struct(to, by)}), asked=to, as_of=as_of, by=by)
