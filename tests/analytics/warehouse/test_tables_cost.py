"""The report on cost: each figure computed once more by loops over the lake's rows, and what is said without one."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest
from msgspec.structs import replace

from analytics.costs import CostReport, Spent
from analytics.lake.directory import Directory
from analytics.narrowing import Narrowing
from analytics.projection import Estimate, Month
from analytics.record import Record
from analytics.warehouse.database import Warehouse
from analytics.warehouse.tables import cost
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record
from tests.fakes.mixed_traffic import SALES, mixed
from tests.fakes.recomputation import read_lake

NEVER_PAID = {"client_error", "rejected", "shed"}
PRESENT = {SALES: 1, "support": 1, "unasked": 1}
Row = Mapping[str, Any]


def asked(warehouse: Warehouse, **to: Any) -> CostReport:
    return cost(warehouse, Narrowing(**to), as_of=7, present=PRESENT)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, list[Row]]]:
    """Yield a lake with mixed traffic, a part of it twice, and its rows, each once."""
    lake, rng = HandmadeLake(tmp_path_factory.mktemp("cost") / "lake"), random.Random(1)
    records = [mixed(rng, number) for number in range(1, 2_001)]
    lake.put(records[:1_000])
    lake.put(records[800:])
    requests, _ = read_lake(lake.root)
    with closing(Warehouse(Directory(lake.root))) as warehouse:
        yield warehouse, list({row["request_id"]: row for row in requests}.values())


def is_unknown(row: Row) -> bool:
    return row["cost_usd"] is None and row["outcome"] not in NEVER_PAID


def dealt(row: Row) -> tuple[Any, Any, Any]:
    if row["rollout"] is None:
        return None, None, None
    if row["reason"] == "targeting_match":
        name = "forced"
    else:
        name = row["arm_assigned"] if row["bucket"] is not None and row["reason"] != "default" else "without_user"
    return row["rollout"], row["generation"], name


def same_sums(
    found: Iterable[Spent], rows: Iterable[Row], key: Callable[[Row], Any], name: Callable[[Any], Any]
) -> None:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    by_name = {name(one): one for one in found}

    assert set(by_name) == set(groups)
    for group, members in groups.items():
        one, costs = by_name[group], [row["cost_usd"] for row in members if row["cost_usd"] is not None]
        unknown = sum(map(is_unknown, members))
        assert (one.requests, one.priced, one.cost_unknown) == (len(members), len(costs), unknown)
        assert one.cost_usd == (pytest.approx(math.fsum(costs), rel=1e-12) if costs else None)
        assert one.cost_per_request_usd == (pytest.approx(math.fsum(costs) / len(costs)) if costs else None)
        billable = len(costs) + unknown
        assert one.unknown_share == (pytest.approx(unknown / billable) if billable else None)


@pytest.mark.parametrize(
    "to",
    [
        {},
        {"rollout": SALES, "generation": 1},
        {"rollout": SALES, "generation": 1, "step": 2, "endpoint": "chat.completions", "forced": True},
        {"application": "web", "forced": True},
        {"purpose": "eval"},
    ],
)
def test_plain_python_comes_to_the_same_sums(filled: tuple[Warehouse, list[Row]], to: dict[str, Any]):
    warehouse, rows = filled
    narrow = {name: value for name, value in to.items() if name not in {"purpose", "forced"}}
    mine = [row for row in rows if all(row[name] == value for name, value in narrow.items())]
    wanted = [row for row in mine if row["purpose"] == to.get("purpose", "live")]
    counted = [row for row in wanted if row["reason"] != "targeting_match" or to.get("forced")]
    found = asked(warehouse, **to)

    assert len(counted) > 20
    same_sums([found.total], counted, lambda _: None, lambda one: one.name)
    same_sums(found.days, counted, lambda row: str(row["started_at"].date()), lambda one: one.name)
    same_sums(found.applications, counted, lambda row: row["application"], lambda one: one.name)
    same_sums(found.models, counted, lambda row: row["model_served"], lambda one: one.name)
    same_sums(found.arms, counted, dealt, lambda one: (one.rollout, one.generation, one.name))
    left_out = [row for row in mine if row not in counted]
    same_sums(
        found.left_out,
        left_out,
        lambda row: "forced" if row["purpose"] == to.get("purpose", "live") else row["purpose"],
        lambda one: one.name,
    )
    unknown = Counter((row["cost_unknown"], row["model_served"]) for row in counted if is_unknown(row))
    assert {(one.reason, one.model): one.requests for one in found.unknown} == unknown
    assert [one.name for one in found.days] == sorted(one.name or "" for one in found.days)
    assert [one.cost_usd or 0 for one in found.models] == sorted(
        (one.cost_usd or 0 for one in found.models), reverse=True
    )
    assert (found.as_of, found.asked) == (7, Narrowing(**to))


def by_user(rows: Iterable[Row]) -> dict[Any, list[float]]:
    costs: dict[Any, list[float]] = defaultdict(list)
    for row in rows:
        costs[row["user_hash"]] += [row["cost_usd"]] if row["cost_usd"] is not None else []
    return costs


def residual_error(values: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    """Return a ratio of sums and its standard error, from each user's residual."""
    ratio, users = math.fsum(values) / math.fsum(weights), len(values)
    squares = math.fsum((value - ratio * weight) ** 2 for value, weight in zip(values, weights, strict=True))
    return ratio, math.sqrt(users / (users - 1) * squares) / math.fsum(weights)


def is_estimate(found: Estimate, value: float, error: float) -> None:
    half = 1.959963984540054 * error
    assert found.value == pytest.approx(value, rel=1e-9)
    assert found.low == pytest.approx(value - half, rel=1e-7)
    assert found.high == pytest.approx(value + half, rel=1e-7)


@pytest.mark.parametrize("moved", [True, False])
def test_plain_python_comes_to_the_same_month(warehouse: Warehouse, lake: HandmadeLake, moved: bool):  # noqa: FBT001 - a parameter of the test
    rng = random.Random(6)
    drawn = [mixed(rng, number, apart_s=120.0) for number in range(1, 1_501)]
    known = [one if one.cost_usd is not None or rng.random() < 0.1 else replace(one, cost_usd=0.004) for one in drawn]
    lake.put(known if moved else [replace(one, percent=50.0) for one in known])
    [month] = asked(warehouse, rollout=SALES, generation=1, step=3).projections
    mine = [
        row
        for row in read_lake(lake.root)[0]
        if (row["rollout"], row["generation"], row["step"], row["purpose"]) == (SALES, 1, 3, "live")
        and row["reason"] in {"split", "stale"}
    ]
    arms = [[row for row in mine if row["arm_assigned"] == arm] for arm in ("base", "candidate")]
    moments = [row["started_at"] for row in mine]
    days = (max(moments) - min(moments)).total_seconds() / 86_400
    priced = [sum(row["cost_usd"] is not None for row in arm) for arm in arms]
    billable = [count + sum(map(is_unknown, arm)) for count, arm in zip(priced, arms, strict=True)]
    load, costs = 30 / days * sum(billable), [by_user(arm) for arm in arms]
    users = sum(map(len, costs))

    assert month.refused is None
    assert (month.base_users, month.candidate_users) == tuple(map(len, costs))
    assert (month.days, month.monthly_requests) == (pytest.approx(days), pytest.approx(load))
    paying = [[values for values in each.values() if values] for each in costs]
    means = [residual_error([*map(math.fsum, each)], [*map(len, each)]) for each in paying]
    is_month(month.by_request, [(mean * load, error * load) for mean, error in means])
    present = math.fsum(mean * count for (mean, _), count in zip(means, billable, strict=True))
    assert month.present_usd == pytest.approx(30 / days * present)
    if moved:
        assert month.by_user is None
        return
    means = [residual_error([*map(math.fsum, each.values())], [1.0] * len(each)) for each in costs]
    times = [30 / days * users * count / known for count, known in zip(billable, priced, strict=True)]
    is_month(month.by_user, [(mean * each, error * each) for (mean, error), each in zip(means, times, strict=True)])


def is_month(found: Month | None, expected: Sequence[tuple[float, float]]) -> None:
    assert found is not None
    (base, base_error), (candidate, candidate_error) = expected
    is_estimate(found.base, base, base_error)
    is_estimate(found.candidate, candidate, candidate_error)
    is_estimate(found.difference, candidate - base, math.hypot(base_error, candidate_error))


def day(arm: str, hours: float, first: int = 1, **facts: Any) -> list[Record]:
    """Return requests of 40 users of an arm, spread over so many hours."""
    shared = {"rollout": SALES, "generation": 1, "arm_assigned": arm, "reason": "split", "bucket": 1, "percent": 50.0}
    return [
        record(
            number,
            **{"cost_usd": 0.01, **shared, **facts},
            started_at=AT_US + round((number - first) / 39 * hours * 3.6e9),
            user_hash=number.to_bytes(16),
        )
        for number in range(first, first + 40)
    ]


def test_a_fallbacks_tries_are_paid_by_the_arm_that_was_assigned(warehouse: Warehouse, lake: HandmadeLake):
    rescued = {"arm_served": "base", "model_served": "gpt", "fallback_reason": "malformed", "cost_usd": 0.03}
    lake.put([*day("base", 24, model_served="gpt"), *day("candidate", 24, 100, **rescued)])
    found = asked(warehouse, rollout=SALES, generation=1)
    [month] = found.projections

    assert {one.name: one.cost_usd for one in found.arms} == {
        "base": pytest.approx(0.4),
        "candidate": pytest.approx(1.2),
    }
    assert [one.name for one in found.models] == ["gpt"]
    assert month.by_request is not None
    assert month.by_request.candidate.value == pytest.approx(30 * 80 * 0.03)
    assert month.by_request.difference.value == pytest.approx(30 * 80 * 0.02)
    assert month.by_request.difference.low is None


@pytest.mark.parametrize(
    ("base", "candidate", "words"),
    [
        (day("base", 24), [], "no request of a split user was assigned to candidate in this time"),
        ([], [], "no request of a split user was assigned to base or candidate in this time"),
        (day("base", 30), day("candidate", 22.5, 100), "both arms were asked for 22.5 hours; 23 are needed"),
        (day("base", 30), day("candidate", 30, 100)[::2], "20 users of candidate have a known cost; 30 are needed"),
        (
            [*day("base", 30)[3:], *(replace(one, cost_usd=None) for one in day("base", 30)[:3])],
            day("candidate", 30, 100),
            "the cost of 92.5 % of base's requests is known; 95 % are needed",
        ),
    ],
)
def test_thin_evidence_gets_a_sentence_instead_of_a_month(
    warehouse: Warehouse, lake: HandmadeLake, base: list[Record], candidate: list[Record], words: str
):
    lake.put([*base, *candidate])
    [month] = asked(warehouse, rollout=SALES, generation=1).projections

    assert words in (month.refused or "")
    assert (month.by_request, month.by_user, month.monthly_requests) == (None, None, None)


def test_without_a_rollout_each_rollout_has_a_month_and_direct_models_are_in_the_sum(
    warehouse: Warehouse, lake: HandmadeLake
):
    direct = [record(number, cost_usd=0.5, model_served="direct") for number in range(900, 903)]
    other = [replace(one, rollout="support") for one in [*day("base", 24, 200), *day("candidate", 24, 300)]]
    lake.put([*day("base", 24), *day("candidate", 24, 100), *other, *direct])
    found = asked(warehouse)

    assert [(one.rollout, one.refused) for one in found.projections] == [(SALES, None), ("support", None)]
    assert found.total.cost_usd == pytest.approx(1.5 + 1.6)
    assert [(one.rollout, one.name) for one in found.arms][-1] == (None, None)
    assert [(one.name, one.cost_usd) for one in found.models] == [(None, pytest.approx(1.6)), ("direct", 1.5)]


def test_an_empty_lake_costs_nothing_that_is_known(warehouse: Warehouse):
    found = asked(warehouse)

    assert (found.total.requests, found.total.cost_usd, found.total.unknown_share) == (0, None, None)
    assert (found.first_at, found.last_at, found.days, found.projections) == (None, None, [], [])
