"""The report on failures: every group counted once more by loops over the lake's rows, and known answers."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from analytics.failures import FailureGroup, FailureReport
from analytics.lake.directory import Directory
from analytics.narrowing import Narrowing, micros_of
from analytics.record import Attempt, Record
from analytics.warehouse.database import Warehouse
from analytics.warehouse.tables import errors
from tests.fakes.handmade_lake import HandmadeLake, record
from tests.fakes.mixed_traffic import SALES, mixed
from tests.fakes.recomputation import read_lake

Row = Mapping[str, Any]
FAILED = {"upstream_error", "timeout", "malformed", "interrupted"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, list[Row]]]:
    """Yield a lake with mixed traffic, a part of it twice, and its rows, each once."""
    lake, rng = HandmadeLake(tmp_path_factory.mktemp("errors") / "lake"), random.Random(2)
    records = [mixed(rng, number) for number in range(1, 1_501)]
    lake.put(records[:1_000])
    lake.put(records[900:])
    requests, _ = read_lake(lake.root)
    with closing(Warehouse(Directory(lake.root))) as warehouse:
        yield warehouse, list({row["request_id"]: row for row in requests}.values())


def failures_of(row: Row) -> Iterator[tuple[Any, ...]]:
    """Yield arm, model, upstream, class and status of each thing that went wrong with a request."""
    tries, ended_well = row["attempts"] or [], row["outcome"] in {"ok", "client_cancelled"}
    for one in tries:
        if one["error_class"] is not None:
            yield one["arm"], one["model"], one["upstream"], one["error_class"], one["status"]
    if not ended_well and (not tries or tries[-1]["error_class"] is None):
        arm, asked_for = row["arm_served"] or row["arm_assigned"], row["model_requested"]
        model = row["model_served"] or (asked_for if row["outcome"] != "rejected" else None)
        yield arm, model, row["upstream"], row["error_class"], row["status"]
    candidate_failed = [one for one in tries if one["arm"] == row["arm_assigned"] and one["error_class"] is not None]
    if row["fallback_reason"] is not None and not candidate_failed:
        yield row["arm_assigned"], None, None, row["fallback_reason"], None


def rescue_of(row: Row) -> str | None:
    if row["outcome"] != "ok":
        return None
    return "another try" if row["fallback_reason"] is None else "fallback"


@pytest.mark.parametrize(
    "to",
    [
        {},
        {"rollout": SALES, "generation": 1},
        {"rollout": SALES, "generation": 1, "step": 3, "forced": True},
        {"endpoint": "embeddings", "application": "web"},
        {"purpose": "shadow"},
    ],
)
def test_plain_python_comes_to_the_same_groups(filled: tuple[Warehouse, list[Row]], to: dict[str, Any]):
    warehouse, rows = filled
    narrow = {name: value for name, value in to.items() if name not in {"purpose", "forced"}}
    mine = [row for row in rows if all(row[name] == value for name, value in narrow.items())]
    wanted = [row for row in mine if row["purpose"] == to.get("purpose", "live")]
    counted = [row for row in wanted if row["reason"] != "targeting_match" or to.get("forced")]
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in counted:
        for arm, model, upstream, error_class, status in failures_of(row):
            key = (arm, model, upstream, row["outcome"], error_class, status, row["endpoint"], rescue_of(row))
            groups[key].append(row)
    found = errors(warehouse, Narrowing(**to), as_of=7)

    assert len(groups) > 10
    assert found.group_count == len(found.groups) == len(groups)
    for one in found.groups:
        is_group(one, groups[key_of(one)], len(counted))
    assert [one.requests for one in found.groups] == sorted((one.requests for one in found.groups), reverse=True)
    is_whole(found, counted)
    assert found.left_out_forced == len(wanted) - len(counted)
    assert found.left_out_not_live == len(mine) - len(wanted)


def key_of(one: FailureGroup) -> tuple[Any, ...]:
    place = (one.arm, one.model, one.upstream, one.outcome, one.error_class, one.status, one.endpoint)
    return (*place, one.rescued_by)


def is_group(one: FailureGroup, members: list[Row], requests: int) -> None:
    ids = {row["request_id"] for row in members}
    moments = [micros_of(row["started_at"]) for row in members]

    assert (one.failures, one.requests) == (len(members), len(ids))
    assert one.users == len({row["user_hash"] for row in members} - {None})
    assert (one.first_at, one.last_at) == (min(moments), max(moments))
    assert one.share == pytest.approx(len(ids) / requests)
    newest = sorted(ids, reverse=True)[:3]
    assert list(one.examples) == [str(name) for name in newest]


def is_whole(found: FailureReport, counted: list[Row]) -> None:
    def count(*outcomes: str) -> int:
        return sum(row["outcome"] in outcomes for row in counted)

    rescued = [rescue_of(row) for row in counted if any(True for _ in failures_of(row))]
    assert (found.requests, found.failed) == (len(counted), count(*FAILED))
    assert (found.client_errors, found.refused) == (count("client_error"), count("rejected", "shed"))
    assert found.rescued_by_fallback == rescued.count("fallback")
    assert found.rescued_by_another_try == rescued.count("another try")


def sent(number: int, *tries: tuple[str, str | None], **facts: Any) -> Record:
    """Return a request of the candidate with tries: of which arm, and what failed."""
    attempts = [
        Attempt(
            arm="base" if arm == "base" else "candidate",
            model={"base": "gpt", "candidate": "tuned"}[arm],
            upstream="east",
            status=503 if failure == "http_503" else None if failure else 200,
            error_class=failure,
            upstream_ms=1.0,
        )
        for arm, failure in tries
    ]
    known = {"rollout": SALES, "generation": 1, "arm_assigned": "candidate", "reason": "split", "bucket": 1}
    return record(number, **{**known, "user_hash": number.to_bytes(16), "attempts": attempts, **facts})


def asked(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    found = errors(warehouse, Narrowing(rollout=SALES, generation=1), as_of=7)
    return [(one.arm, one.model, one.error_class, one.outcome, one.rescued_by, one.failures) for one in found.groups]


def test_what_a_fallback_rescued_is_a_failure_of_the_candidate_that_nobody_saw(
    warehouse: Warehouse, lake: HandmadeLake
):
    lake.put([sent(1, ("candidate", "http_503"), ("base", None), fallback_reason="upstream_error", arm_served="base")])

    assert asked(warehouse) == [("candidate", "tuned", "http_503", "ok", "fallback", 1)]


def test_what_another_try_rescued_is_a_failure_that_nobody_saw(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([sent(1, ("candidate", "connect_refused"), ("candidate", None)), sent(2, ("candidate", None))])

    assert asked(warehouse) == [("candidate", "tuned", "connect_refused", "ok", "another try", 1)]


def test_where_both_arms_failed_each_has_its_failure(warehouse: Warehouse, lake: HandmadeLake):
    both = {"fallback_reason": "timeout", "outcome": "upstream_error", "error_class": "http_503", "status": 502}
    lake.put([sent(1, ("candidate", "first_byte_timeout"), ("base", "http_503"), **both)])

    assert sorted(asked(warehouse)) == [
        ("base", "gpt", "http_503", "upstream_error", None, 1),
        ("candidate", "tuned", "first_byte_timeout", "upstream_error", None, 1),
    ]


def test_a_candidate_that_was_not_even_asked_is_a_failure_of_the_candidate(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([sent(1, ("base", None), fallback_reason="circuit_open", arm_served="base", model_served="gpt")])

    assert asked(warehouse) == [("candidate", None, "circuit_open", "ok", "fallback", 1)]


def test_what_never_reached_a_model_has_the_requests_own_facts(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([sent(1, outcome="interrupted", model_requested=SALES)])
    lake.put([sent(2, outcome="rejected", error_class="invalid_json", status=400, model_requested="invented")])
    lake.put([sent(3, outcome="client_cancelled"), sent(4)])
    found = errors(warehouse, Narrowing(rollout=SALES, generation=1), as_of=7)

    assert {(one.model, one.error_class, one.status, one.outcome) for one in found.groups} == {
        (None, "invalid_json", 400, "rejected"),
        (SALES, None, None, "interrupted"),
    }
    assert (found.requests, found.failed, found.refused, found.rescued_by_fallback) == (4, 1, 1, 0)


def test_more_groups_than_are_listed_are_counted(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([sent(number, outcome="timeout", model_requested=f"m{number}") for number in range(1, 8)])
    found = errors(warehouse, Narrowing(), as_of=7, most=3)

    assert (found.group_count, len(found.groups), found.failed) == (7, 3, 7)


def test_an_empty_lake_has_no_failures(warehouse: Warehouse):
    found = errors(warehouse, Narrowing(), as_of=7)

    assert (found.requests, found.groups, found.first_at, found.last_at) == (0, [], None, None)
