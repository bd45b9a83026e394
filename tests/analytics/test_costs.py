from __future__ import annotations

from typing import Any

from analytics.costs import cost_report
from analytics.narrowing import Narrowing


def row(kind: str, name: str | None, usd: float | None, **facts: Any) -> dict[str, Any]:
    known = {"requests": 10, "priced": 0 if usd is None else 8, "cost_unknown": 2, "model": None}
    dealt = {"rollout": None, "generation": None, "users": None, "first_at": None, "last_at": None}
    return {"kind": kind, "name": name, "cost_usd": usd, **known, **dealt, **facts}


def test_the_dearest_comes_first_and_days_come_in_their_order():
    rows = [
        *(row("model", name, usd) for name, usd in (("a", 1.0), ("b", None), ("c", 3.0))),
        *(row("day", name, usd) for name, usd in (("2026-09-02", 9.0), ("2026-09-01", 1.0))),
        *(row("unknown", name, None, requests=number) for name, number in (("no_usage", 3), ("", 5))),
    ]
    found = cost_report(rows, asked=Narrowing(), as_of=7, present={})

    assert [one.name for one in found.models] == ["c", "a", "b"]
    assert [one.name for one in found.days] == ["2026-09-01", "2026-09-02"]
    assert [(one.reason, one.requests) for one in found.unknown] == [(None, 5), ("no_usage", 3)]
    assert (found.models[0].cost_per_request_usd, found.models[0].unknown_share) == (0.375, 0.2)
    assert (found.models[2].cost_per_request_usd, found.models[2].unknown_share) == (None, 1.0)


def test_a_share_of_nothing_is_not_known():
    [found] = cost_report([row("model", "a", None, cost_unknown=0)], asked=Narrowing(), as_of=7, present={}).models

    assert found.unknown_share is None


def test_only_present_generations_with_split_users_are_projected_unless_one_is_asked_for():
    dealt = [
        row("dealt", "without_user", 1.0, rollout="sales", generation=1),
        row("dealt", "base", 1.0, rollout="old", generation=1, users=3, first_at=None, last_at=None),
    ]
    everything = cost_report(dealt, asked=Narrowing(), as_of=7, present={"sales": 1, "old": 2, "unused": 1})
    one = cost_report(dealt, asked=Narrowing(rollout="sales", generation=1), as_of=7, present={"old": 1})

    assert everything.projections == []
    assert [(each.rollout, each.generation) for each in one.projections] == [("sales", 1)]
    assert [(each.rollout, each.name) for each in one.arms] == [("sales", "without_user"), ("old", "base")]
