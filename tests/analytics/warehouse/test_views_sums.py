"""The views of sums say what plain Python adds up of the same requests and ratings."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from analytics.lake.directory import Directory
from analytics.lake.place import Place
from analytics.record import Record
from analytics.warehouse.database import Warehouse
from analytics.warehouse.edition import Edition
from analytics.warehouse.published import publish
from analytics.warehouse.sandbox import QueryLimits, run
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record

DAY_US = 86_400_000_000
HOUR_US = DAY_US // 24
Rated = dict[str, bool]
QUESTION = """
SELECT application, sum(cost_usd) / sum(satisfied) AS cost
FROM costs
WHERE arm_assigned = 'candidate' AND is_split AND day >= DATE '2026-09-22'
GROUP BY application
ORDER BY application
"""


def drawn(number: int, chance: random.Random) -> Record:
    is_forced = chance.random() < 0.1
    return record(
        number,
        started_at=AT_US + chance.randrange(3 * DAY_US),
        outcome=chance.choice(["ok", "ok", "ok", "timeout", "client_error"]),
        application=chance.choice(["sales", "legal"]),
        rollout="assistant",
        generation=1,
        step=1,
        arm_assigned=chance.choice(["base", "candidate"]),
        reason="targeting_match" if is_forced else "split",
        bucket=None if is_forced else 7,
        model_served=chance.choice(["gpt", "ft:gpt"]),
        purpose=chance.choice(["live", "live", "live", "eval"]),
        cost_usd=chance.choice([None, 0.25, 0.5]),
        output_tokens=chance.choice([None, 3, 5]),
    )


@pytest.fixture(scope="module")
def records() -> list[Record]:
    chance = random.Random(11)
    return [drawn(number, chance) for number in range(1, 301)]


@pytest.fixture(scope="module")
def rated(records: list[Record]) -> Rated:
    """Return what was said in the end of the requests that were rated."""
    chance = random.Random(12)
    return {one.request_id: chance.random() < 0.7 for one in chance.sample(records, 120)}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory, records: list[Record], rated: Rated) -> HandmadeLake:
    """Return a lake of which the first days are compacted, with what came late beside them."""
    made = HandmadeLake(tmp_path_factory.mktemp("views") / "lake")
    pieces = [
        {
            "feedback_id": UUID(int=2 * number + again),
            "received_at": one.started_at + (1 + again) * HOUR_US,
            "application": one.application,
            "request_id": UUID(one.request_id),
            "thumb": "up" if rated[one.request_id] == bool(again) else "down",
        }
        for number, one in enumerate(records, start=1)
        if one.request_id in rated
        for again in (0, 1)
    ]
    made.put(records[:200])
    made.put_feedback(pieces[::2])
    made.compact(AT_US + 2 * DAY_US)
    made.put(records[190:])
    made.put_feedback(pieces[1::2])
    return made


@pytest.fixture(scope="module")
def warehouse(lake: HandmadeLake) -> Iterator[Warehouse]:
    made = Warehouse(Directory(lake.root))
    yield made
    made.close()


@pytest.fixture(scope="module")
def copy(lake: HandmadeLake) -> Path:
    target = lake.root.parent / "copy.duckdb"
    place = Place(url=str(lake.root))
    publish(Edition(lake=place, target=str(target), as_of=AT_US + 4 * DAY_US, days=30, max_rows=1_000_000))
    return target


def day_of(one: Record) -> date:
    return datetime.fromtimestamp(one.started_at / 1e6, UTC).date()


def asked(warehouse: Warehouse, view: str, query: str) -> list[tuple[Any, ...]]:
    with warehouse.connection([view]) as connection:
        return connection.execute(query).fetchall()


def added(pairs: list[tuple[tuple[Any, ...], tuple[float, ...]]]) -> list[tuple[Any, ...]]:
    """Add up figures by what they are of, in its order."""
    sums: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)
    for key, figures in pairs:
        known = sums[key] or [0.0] * len(figures)
        sums[key] = [before + now for before, now in zip(known, figures, strict=True)]
    return sorted((*key, *figures) for key, figures in sums.items())


def test_costs_are_those_of_live_requests_by_day_application_arm_and_model(
    warehouse: Warehouse, records: list[Record], rated: Rated
) -> None:
    query = (
        "SELECT day, application, arm_assigned, is_split, model_served, requests, coalesce(cost_usd, 0), priced, "
        "cost_unknown, coalesce(output_tokens, 0), coalesce(ratings, 0), coalesce(satisfied, 0) FROM costs ORDER BY ALL"
    )
    assert asked(warehouse, "costs", query) == added(
        [
            (
                (day_of(one), one.application, one.arm_assigned, one.bucket is not None, one.model_served),
                (
                    *(1, one.cost_usd or 0, one.cost_usd is not None),
                    one.cost_usd is None and one.outcome != "client_error",
                    *(one.output_tokens or 0, one.request_id in rated, rated.get(one.request_id, False)),
                ),
            )
            for one in records
            if one.purpose == "live"
        ]
    )


def test_satisfaction_tells_answers_ratings_and_whom_the_split_placed(
    warehouse: Warehouse, records: list[Record], rated: Rated
) -> None:
    query = (
        "SELECT is_split, arm_assigned, sum(answers), coalesce(sum(rated_answers), 0), coalesce(sum(ratings), 0), "
        "coalesce(sum(satisfied), 0) FROM satisfaction GROUP BY ALL ORDER BY ALL"
    )
    assert asked(warehouse, "satisfaction", query) == added(
        [
            (
                (one.bucket is not None, one.arm_assigned),
                (
                    *(one.outcome == "ok", one.outcome == "ok" and one.request_id in rated),
                    *(one.request_id in rated, rated.get(one.request_id, False)),
                ),
            )
            for one in records
            if one.purpose == "live"
        ]
    )


def test_hours_have_every_purpose_and_days_live_traffic_alone(warehouse: Warehouse, records: list[Record]) -> None:
    by_purpose = asked(warehouse, "hourly", "SELECT purpose, sum(requests) FROM hourly GROUP BY ALL ORDER BY ALL")
    live = sum(one.purpose == "live" for one in records)

    assert by_purpose == [("eval", len(records) - live), ("live", live)]
    assert asked(warehouse, "daily", "SELECT sum(requests), sum(errors) FROM daily") == [
        (live, sum(one.outcome == "timeout" for one in records if one.purpose == "live"))
    ]


@pytest.mark.parametrize("view", ["hourly", "rated_hours", "daily", "costs", "satisfaction"])
def test_a_copy_says_what_the_warehouse_says(warehouse: Warehouse, copy: Path, view: str) -> None:
    names = [name for name, *_ in asked(warehouse, view, f"DESCRIBE {view}") if not name.endswith("_bins")]
    query = f"SELECT {', '.join(names)} FROM {view} ORDER BY ALL"
    limits = QueryLimits(time_s=60, steps_back=False)
    found = run(query, copy, limits).text.splitlines()
    rows = [msgspec.json.decode(line) for line in found]
    expected = [
        [str(value) if isinstance(value, date) else value for value in row] for row in asked(warehouse, view, query)
    ]

    assert rows == expected
    assert rows


def test_what_the_candidate_cost_per_satisfied_answer_is_one_short_query(
    copy: Path, records: list[Record], rated: Rated
) -> None:
    found = run(QUESTION, copy, QueryLimits(time_s=60, steps_back=False)).text.splitlines()
    counted = [
        one
        for one in records
        if (one.purpose, one.arm_assigned, one.reason) == ("live", "candidate", "split")
        and day_of(one) >= date(2026, 9, 22)
    ]
    cost = {
        name: sum(one.cost_usd or 0 for one in counted if one.application == name)
        / sum(rated.get(one.request_id, False) for one in counted if one.application == name)
        for name in ("legal", "sales")
    }

    assert [msgspec.json.decode(line) for line in found] == [[name, pytest.approx(cost[name])] for name in cost]
