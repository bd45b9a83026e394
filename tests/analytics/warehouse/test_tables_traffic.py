"""The report on traffic: every count made once more by loops over the lake's rows, and splits known to be wrong."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from analytics.lake.directory import Directory
from analytics.narrowing import Narrowing, micros_of
from analytics.record import Record
from analytics.srm import log_odds
from analytics.traffic import StepTraffic, TrafficReport
from analytics.warehouse.database import Warehouse
from analytics.warehouse.tables import traffic
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record
from tests.fakes.mixed_traffic import SALES, mixed
from tests.fakes.recomputation import read_lake

Row = Mapping[str, Any]
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, list[Row]]]:
    """Yield a lake with mixed traffic, a part of it twice, and its rows, each once."""
    lake, rng = HandmadeLake(tmp_path_factory.mktemp("traffic") / "lake"), random.Random(3)
    records = [mixed(rng, number) for number in range(1, 1_501)]
    lake.put(records[:1_000])
    lake.put(records[900:])
    requests, _ = read_lake(lake.root)
    with closing(Warehouse(Directory(lake.root))) as warehouse:
        yield warehouse, list({row["request_id"]: row for row in requests}.values())


@pytest.mark.parametrize("to", [{}, {"step": 2}, {"endpoint": "embeddings"}, {"purpose": "eval"}])
def test_plain_python_comes_to_the_same_counts(filled: tuple[Warehouse, list[Row]], to: dict[str, Any]):
    warehouse, rows = filled
    found = traffic(warehouse, Narrowing(rollout=SALES, generation=1, **to), as_of=7)
    narrow = {"rollout": SALES, "generation": 1, **{name: to[name] for name in ("step", "endpoint") if name in to}}
    mine = [row for row in rows if all(row[name] == value for name, value in narrow.items())]
    wanted = [row for row in mine if row["purpose"] == to.get("purpose", "live")]
    split = [row for row in wanted if row["reason"] in {"split", "stale"} and row["bucket"] is not None]

    assert len(split) > 20
    steps = sorted({row["step"] for row in split})
    assert [one.step for one in found.steps] == steps
    for one in found.steps:
        is_step(one, [row for row in split if row["step"] == one.step])
    are_spans(found, split)
    assert {one.name: one.requests for one in found.sources} == Counter(row["user_source"] for row in wanted)
    assert {one.name: one.requests for one in found.reasons} == Counter(row["reason"] for row in wanted)
    assert {one.name: one.requests for one in found.left_out} == Counter(
        row["purpose"] for row in mine if row not in wanted
    )
    places = {row["user_hash"]: row["bucket"] // 100 for row in split}
    bins = Counter(places.values())
    assert found.buckets.users == len(places)
    assert (found.buckets.fewest, found.buckets.most) == (min(bins[place] for place in range(100)), max(bins.values()))


def is_step(one: StepTraffic, rows: list[Row]) -> None:
    arms = Counter(row["arm_assigned"] for row in rows)
    in_force = max(Counter(row["percent"] for row in rows).items(), key=lambda item: (item[1], item[0]))[0]
    users: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        if row["percent"] == in_force:
            users[row["user_hash"]].append(row)
    firsts = Counter(min(each, key=lambda row: row["started_at"])["arm_assigned"] for each in users.values())
    crossed = sum(len({row["arm_assigned"] for row in each}) > 1 for each in users.values())

    assert (one.base_requests, one.candidate_requests) == (arms["base"], arms["candidate"])
    assert (one.base_users, one.candidate_users) == (firsts["base"], firsts["candidate"])
    assert one.percent == float(in_force)
    assert one.crossed_users == crossed
    assert one.mixed_requests == sum(row["percent"] != in_force for row in rows)
    assert one.sample_ratio is not None
    if 0 < in_force < 100:
        share = float(in_force) / 100
        odds = log_odds((firsts["candidate"], firsts["base"]), (share, 1 - share))
        assert one.sample_ratio.log_odds == pytest.approx(odds)


def are_spans(found: TrafficReport, split: list[Row]) -> None:
    for spans, length in ((found.hours, HOUR_US), (found.days, DAY_US)):
        counted = Counter((micros_of(row["started_at"]) // length * length, row["arm_assigned"]) for row in split)
        assert [one.at for one in spans] == sorted({at for at, _ in counted})
        for one in spans:
            assert (one.base_requests, one.candidate_requests) == (
                counted[(one.at, "base")],
                counted[(one.at, "candidate")],
            )


def user(number: int, arm: str, **facts: Any) -> Record:
    known = {"rollout": SALES, "generation": 1, "step": 1, "percent": 10.0, "reason": "split", "arm_assigned": arm}
    return record(number, **{**known, "bucket": number * 37 % 10_000, "user_hash": number.to_bytes(16), **facts})


def test_a_split_that_gives_the_candidate_too_many_users_is_told(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([user(number, "candidate" if number <= 150 else "base") for number in range(1, 751)])
    [step] = traffic(warehouse, Narrowing(rollout=SALES, generation=1), as_of=7).steps

    assert step.sample_ratio is not None
    assert (step.base_users, step.candidate_users) == (600, 150)
    assert step.sample_ratio.is_alarming
    assert step.sample_ratio.log_odds == pytest.approx(log_odds((150, 600), (0.1, 0.9)))


def test_one_busy_user_is_one_user(warehouse: Warehouse, lake: HandmadeLake):
    busy = [user(number, "candidate", user_hash=b"\x01" * 16, bucket=5) for number in range(1, 401)]
    lake.put([*busy, *(user(number, "base") for number in range(500, 509))])
    [step] = traffic(warehouse, Narrowing(rollout=SALES, generation=1), as_of=7).steps

    assert step.sample_ratio is not None
    assert (step.candidate_requests, step.candidate_users, step.sample_ratio.is_alarming) == (400, 1, False)


def test_a_user_counts_for_the_arm_of_the_first_request_and_is_said_to_have_crossed(
    warehouse: Warehouse, lake: HandmadeLake
):
    first = user(1, "base")
    lake.put([user(9, "candidate", user_hash=first.user_hash), first, user(3, "candidate")])
    [step] = traffic(warehouse, Narrowing(rollout=SALES, generation=1), as_of=7).steps

    assert (step.base_users, step.candidate_users, step.crossed_users) == (1, 1, 1)


def test_users_who_lie_unevenly_over_the_buckets_are_told(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([user(number, "base", bucket=number % 5_000) for number in range(1, 1_001)])
    uneven = traffic(warehouse, Narrowing(rollout=SALES, generation=1), as_of=7).buckets

    assert (uneven.users, uneven.most, uneven.is_alarming) == (1_000, 100, True)


def test_pinned_users_are_dealt_by_nobody_also_if_they_are_asked_for(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([user(1, "base"), user(2, "candidate", reason="targeting_match")])
    found = traffic(warehouse, Narrowing(rollout=SALES, generation=1, forced=True), as_of=7)

    assert (found.base_requests, found.candidate_requests) == (1, 0)
    assert {one.name: one.requests for one in found.reasons} == {"split": 1, "targeting_match": 1}


def test_an_empty_lake_has_no_traffic(warehouse: Warehouse):
    found = traffic(warehouse, Narrowing(rollout=SALES, generation=1), as_of=7)

    assert (found.steps, found.days, found.hours, found.first_at) == ([], [], [], None)
    assert (found.buckets.users, found.buckets.chance) == (0, None)


def test_a_record_of_no_known_percent_is_in_a_step_that_cannot_be_judged(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([user(1, "base", percent=None, step=None)])
    [step] = traffic(warehouse, Narrowing(rollout=SALES, generation=1), as_of=7).steps

    assert (step.step, step.percent, step.sample_ratio, step.base_users) == (None, None, None, 1)
    assert step.first_at == AT_US + 1_000_000
