"""The head-to-head table: known answers on a lake made by hand, and each number computed once more in plain Python."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import msgspec
import pytest

from analytics.comparison import Comparison
from analytics.lake.directory import Directory
from analytics.narrowing import Narrowing
from analytics.record import Record
from analytics.warehouse.database import Warehouse
from analytics.warehouse.reports import compare, compare_by, values
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record
from tests.fakes.recomputation import read_lake, recompute, same

NAME = "sales-companion"
REPORTS = Path(__file__).parents[3] / "docs" / "reports.md"


def split(number: int, arm: str, **facts: Any) -> Record:
    """Return an ok request that the split gave to an arm; each has a user of its own unless told."""
    known = {
        "rollout": NAME,
        "generation": 1,
        "percent": 25.0,
        "bucket": 100,
        "arm_assigned": arm,
        "arm_served": arm,
        "reason": "split",
        "user_hash": number.to_bytes(16),
        "application": "default",
        "model_served": {"base": "gpt", "candidate": "tuned"}[arm],
    }
    return record(number, **{**known, **facts})


def asked(warehouse: Warehouse, **more: Any) -> Comparison:
    return compare(warehouse, NAME, more.pop("generation", 1), as_of=7, to=Narrowing(**more))


def test_an_empty_lake_has_a_table_without_figures(warehouse: Warehouse):
    found = asked(warehouse)

    assert (found.base.requests, found.candidate.requests, found.first_at, found.percent_low) == (0, 0, None, None)
    assert found.base.error_rate.value is found.candidate.cost_usd.value is found.base.latency_p99_ms.value is None


def test_an_arm_without_requests_stands_beside_the_other(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([split(1, "base", latency_ms=10.0)])
    found = asked(warehouse)

    assert (found.base.requests, found.candidate.requests) == (1, 0)
    assert (found.base.latency_p50_ms.value, found.candidate.latency_p50_ms.value) == (10.0, None)
    assert found.difference["latency_p50_ms"].value is None
    assert (found.base.model, found.candidate.model) == ("gpt", None)


def test_quantiles_interpolate_between_neighbours_and_take_answered_requests_alone(
    warehouse: Warehouse, lake: HandmadeLake
):
    lake.put(
        [split(number, "base", latency_ms=float(number), stream=True, ttft_ms=number / 2) for number in range(1, 5)]
    )
    lake.put([split(5, "base", latency_ms=9_000.0, outcome="timeout"), split(6, "base", latency_ms=None)])
    lake.put([split(7, "base", latency_ms=2.5, stream=False, ttft_ms=None)])
    found = asked(warehouse).base

    assert (found.latency_p50_ms.value, found.latency_p50_ms.of) == (2.5, 5)
    assert found.latency_p99_ms.value == pytest.approx(3 + 0.96)
    assert (found.ttft_p50_ms.value, found.ttft_p50_ms.of) == (1.25, 4)


@pytest.mark.parametrize(
    ("facts", "counted", "failed"),
    [
        ({"outcome": "ok"}, 1, 0),
        ({"outcome": "upstream_error"}, 1, 1),
        ({"outcome": "timeout"}, 1, 1),
        ({"outcome": "malformed"}, 1, 1),
        ({"outcome": "interrupted"}, 1, 1),
        ({"outcome": "ok", "fallback_reason": "upstream_error"}, 1, 1),
        ({"outcome": "shed", "error_class": "circuit_open"}, 1, 1),
        ({"outcome": "client_cancelled"}, 0, 0),
        ({"outcome": "client_error"}, 0, 0),
        ({"outcome": "rejected"}, 0, 0),
        ({"outcome": "shed"}, 0, 0),
    ],
)
def test_what_is_a_failure(warehouse: Warehouse, lake: HandmadeLake, facts: dict[str, Any], counted: int, failed: int):
    lake.put([split(1, "candidate", **facts)])
    arm = asked(warehouse).candidate

    assert (arm.requests, arm.error_rate.of, arm.errors) == (1, counted, failed)


def test_what_a_fallback_answered_counts_for_the_arm_that_was_assigned(warehouse: Warehouse, lake: HandmadeLake):
    rescued = {"arm_served": "base", "model_served": "gpt", "fallback_reason": "timeout", "latency_ms": 50.0}
    lake.put([split(1, "candidate", **rescued, cost_usd=0.5), split(2, "candidate", latency_ms=10.0, cost_usd=0.1)])
    found = asked(warehouse)

    assert (found.base.requests, found.candidate.requests, found.candidate.errors) == (0, 2, 1)
    assert found.candidate.latency_p50_ms.value == 30.0
    assert found.candidate.total_cost_usd == pytest.approx(0.6)
    assert found.candidate.model == "tuned"


def test_an_unknown_cost_is_counted_and_never_zero(warehouse: Warehouse, lake: HandmadeLake):
    lake.put(
        [split(1, "base", cost_usd=0.2), split(2, "base", cost_usd=0.4), split(3, "base", cost_unknown="no_price")]
    )
    lake.put([split(4, "base", outcome="rejected"), split(5, "candidate", cost_unknown="no_usage")])
    found = asked(warehouse)

    assert found.base.cost_usd.value == pytest.approx(0.3)
    assert (found.base.cost_usd.of, found.base.cost_unknown) == (2, 1)
    assert found.base.total_cost_usd == pytest.approx(0.6)
    assert (found.candidate.cost_usd.value, found.candidate.total_cost_usd, found.candidate.cost_unknown) == (
        None,
        None,
        1,
    )


def test_requests_that_the_split_did_not_decide_are_left_out_and_counted(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([split(1, "base"), split(2, "base", reason="stale")])
    lake.put([split(3, "candidate", reason="targeting_match"), split(4, "base", reason="targeting_match")])
    lake.put([split(5, "base", reason="default", bucket=None, user_hash=None)])
    lake.put([split(6, "base", reason="disabled", bucket=None)])
    lake.put([split(7, "candidate", purpose="eval"), split(8, "base", purpose="shadow", reason="targeting_match")])
    found = asked(warehouse)

    assert (found.base.requests, found.candidate.requests) == (2, 0)
    assert msgspec.to_builtins(found.left_out) == {"forced": 2, "without_user": 2, "not_live": 2}


def test_other_rollouts_generations_and_times_are_elsewhere(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([split(number, "base") for number in range(1, 6)])
    lake.put([split(6, "base", generation=2), split(7, "base", rollout="other"), split(8, "base", rollout=None)])
    first, end = AT_US + 2_000_000, AT_US + 4_000_000
    within = asked(warehouse, since=first, until=end)

    assert (asked(warehouse).base.requests, asked(warehouse, generation=2).base.requests) == (5, 1)
    assert (within.base.requests, within.first_at, within.last_at) == (2, first, first + 1_000_000)
    assert (within.since, within.until, within.as_of) == (first, end, 7)


def test_the_percents_in_the_time_are_told(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([split(1, "base", percent=10.0), split(2, "candidate", percent=25.5), split(3, "base", percent=None)])
    found = asked(warehouse)

    assert (found.percent_low, found.percent_high) == (10.0, 25.5)


def said(number: int, target: Record, after_s: float = 1.0, **facts: Any) -> dict[str, Any]:
    """Return feedback on a request, some seconds after it."""
    at = target.started_at + round(after_s * 1e6)
    known = {"feedback_id": UUID(int=number), "application": "default", "request_id": UUID(target.request_id)}
    return {**known, "received_at": at, **facts}


def test_the_newest_rating_counts_and_a_signal_is_none(warehouse: Warehouse, lake: HandmadeLake):
    requests = [split(number, "base") for number in range(1, 6)]
    one, two, three, four, _ = requests
    lake.put(requests)
    lake.put_feedback([said(1, one, thumb="down"), said(2, one, 5.0, thumb="up")])
    lake.put_feedback([said(3, two, 9.0, rating=3), said(4, two, 2.0, rating=5), said(5, three, rating=4)])
    lake.put_feedback([said(6, four, signal="copied")])
    arm = asked(warehouse).base

    assert arm.ratings == arm.satisfaction.of == 3
    assert arm.satisfaction.value == pytest.approx(2 / 3)
    assert (arm.response_rate.value, arm.response_rate.of) == (0.6, 5)


@pytest.mark.parametrize("facts", [{"application": "other"}, {"after_s": 48 * 3600 + 1}])
def test_foreign_and_late_feedback_counts_nowhere(warehouse: Warehouse, lake: HandmadeLake, facts: dict[str, Any]):
    one = split(1, "base")
    lake.put([one])
    lake.put_feedback([said(1, one, **facts, thumb="up")])
    arm = asked(warehouse).base

    assert (arm.ratings, arm.satisfaction.value, arm.response_rate.value) == (0, None, 0.0)


def test_an_embedding_is_no_answer_of_no_tokens_and_an_empty_chat_is_one(warehouse: Warehouse, lake: HandmadeLake):
    chat = {"endpoint": "chat.completions"}
    lake.put([split(1, "base", **chat, output_tokens=30), split(2, "base", **chat, output_tokens=0)])
    lake.put([split(number, "base", endpoint="embeddings", output_tokens=0) for number in (3, 4, 5)])
    lake.put([split(6, "base", endpoint="images.generations", output_tokens=60), split(7, "candidate", **chat)])
    figure = asked(warehouse).base.output_tokens

    assert (figure.value, figure.of) == (30.0, 3)


def test_one_endpoint_is_asked_for_alone_and_all_of_them_are_counted(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([split(number, "base", endpoint="embeddings", latency_ms=2.0) for number in range(1, 4)])
    lake.put([split(number, "candidate", endpoint="chat.completions", latency_ms=90.0) for number in range(4, 9)])
    lake.put([split(9, "base", endpoint="chat.completions", latency_ms=50.0)])
    lake.put([split(10, "base", endpoint="moderations", reason="targeting_match")])
    whole, chat = asked(warehouse), asked(warehouse, endpoint="chat.completions")

    assert list(whole.endpoints.items()) == [("chat.completions", 6), ("embeddings", 3)]
    assert (chat.base.requests, chat.candidate.requests, chat.base.latency_p50_ms.value) == (1, 5, 50.0)
    assert (chat.endpoint, chat.endpoints, chat.left_out.forced) == ("chat.completions", {"chat.completions": 6}, 0)


def noise(rng: random.Random) -> Callable[[int], Record]:
    outcomes = ("ok",) * 12 + ("upstream_error", "timeout", "client_cancelled", "client_error", "rejected", "shed")

    def draw(number: int) -> Record:
        arm = rng.choice(("base", "base", "candidate"))
        outcome, stream = rng.choice(outcomes), rng.random() < 0.5
        return split(
            number,
            arm,
            outcome=outcome,
            endpoint=rng.choice(("chat.completions", "chat.completions", "embeddings", "images.generations", None)),
            user_hash=rng.randrange(80).to_bytes(16),
            stream=stream,
            latency_ms=rng.lognormvariate(4, 1),
            ttft_ms=rng.lognormvariate(3, 1) if stream and rng.random() < 0.9 else None,
            output_ms=rng.lognormvariate(4, 1) if stream and rng.random() < 0.9 else None,
            error_class=rng.choice(("http_500", "connect", None)) if outcome == "upstream_error" else None,
            arm_served=rng.choice((arm, arm, arm, "base", None)),
            output_tokens=max(0, rng.randrange(500) - 50) if rng.random() < 0.9 else None,
            cost_usd=rng.random() / 100 if rng.random() < 0.9 else None,
            fallback_reason="timeout" if arm == "candidate" and rng.random() < 0.05 else None,
            reason=rng.choice(("split",) * 9 + ("stale", "targeting_match", "default")),
            purpose=rng.choice(("live",) * 9 + ("eval",)),
            percent=rng.choice((10.0, 25.0, 50.0)),
            step=rng.choice((1, 2, 10)),
            phase=rng.choice(("canary", "beta")),
            application=rng.choice(("default", "default", "shop", "", "a=b")),
            tags=rng.choice(({}, {"team": "red"}, {"team": "blue", "note": ""}, {"team": "red", "note": "a=b 'c'"})),
            started_at=AT_US + rng.randrange(3 * 86_400) * 1_000_000,
        )

    return draw


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, list[Any], list[Any]]]:
    """Yield the warehouse of a lake with a bit of everything, and the rows of requests and of feedback in it."""
    lake = HandmadeLake(tmp_path_factory.mktemp("varied") / "lake")
    rows, feedback = filled(lake, 7, 800)
    made = Warehouse(Directory(lake.root))
    yield made, rows, feedback
    made.close()


def filled(lake: HandmadeLake, seed: int, most: int = 1500) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Put random requests, some twice, and random feedback on them; return the lake's rows."""
    rng = random.Random(seed)
    requests = [*map(noise(rng), range(1, most + 1))]
    lake.put(requests[: most // 2])
    lake.put(requests[most // 3 :])
    rated = [said(number, rng.choice(requests), rng.random() * 60, rating=rng.randrange(1, 6)) for number in range(300)]
    thumbs = [said(999 + number, rng.choice(requests), thumb=rng.choice(("up", "down"))) for number in range(300)]
    lake.put_feedback([{**piece, "application": rng.choice(("default", "shop"))} for piece in (*rated, *thumbs)])
    rows, feedback = read_lake(lake.root)
    return [dict(row) for row in rows], [dict(row) for row in feedback]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_plain_python_comes_to_the_same_numbers(warehouse: Warehouse, lake: HandmadeLake, seed: int):
    rows, feedback = filled(lake, seed)
    found = asked(warehouse)

    assert found.base.ratings > 50
    assert found.candidate.error_rate.low is not None
    assert found.difference["output_token_ms"].ratio_low is not None
    assert not list(same(msgspec.to_builtins(found), recompute(rows, feedback, NAME, 1)))


NARROWED: dict[str, tuple[dict[str, Any], Callable[[Any], bool]]] = {
    "endpoint": ({"endpoint": "embeddings"}, lambda row: row["endpoint"] == "embeddings"),
    "application": ({"application": "shop"}, lambda row: row["application"] == "shop"),
    "no name": ({"application": ""}, lambda row: row["application"] == ""),
    "phase": ({"phase": "beta"}, lambda row: row["phase"] == "beta"),
    "step": ({"step": 10}, lambda row: row["step"] == 10),
    "tag": ({"tags": ("team=red",)}, lambda row: row["tags"].get("team") == "red"),
    "tags": (
        {"tags": ("team=red", "note=a=b 'c'")},
        lambda row: row["tags"] == {"team": "red", "note": "a=b 'c'"},
    ),
    "empty tag": ({"tags": ("note=",)}, lambda row: row["tags"].get("note") == ""),
    "all": (
        {"application": "default", "phase": "canary", "step": 2, "tags": ("team=blue",)},
        lambda row: (
            (row["application"], row["phase"], row["step"], row["tags"].get("team")) == ("default", "canary", 2, "blue")
        ),
    ),
}


@pytest.mark.parametrize("narrowed", NARROWED)
def test_narrowed_it_is_the_table_of_these_requests_alone(
    varied: tuple[Warehouse, list[Any], list[Any]], narrowed: str
):
    warehouse, rows, feedback = varied
    words, keep = NARROWED[narrowed]
    found = asked(warehouse, **words)

    assert found.base.requests
    assert not list(same(msgspec.to_builtins(found), recompute(rows, feedback, NAME, 1, keep=keep)))


def test_what_was_made_for_evaluation_and_pinned_users_are_in_it_only_if_asked_for(
    varied: tuple[Warehouse, list[Any], list[Any]],
):
    warehouse, rows, feedback = varied
    evaluated, pinned = asked(warehouse, purpose="eval"), asked(warehouse, forced=True)

    assert evaluated.base.requests < pinned.base.requests / 4
    assert not list(same(msgspec.to_builtins(evaluated), recompute(rows, feedback, NAME, 1, purpose="eval")))
    assert not list(same(msgspec.to_builtins(pinned), recompute(rows, feedback, NAME, 1, forced=True)))


def test_beside_it_are_the_same_requests_by_the_arm_that_served(varied: tuple[Warehouse, list[Any], list[Any]]):
    warehouse, rows, feedback = varied
    found = compare(warehouse, NAME, 1, as_of=7, as_treated=True)
    expected = recompute(rows, feedback, NAME, 1, served=True)

    assert not list(same(msgspec.to_builtins(found), recompute(rows, feedback, NAME, 1)))
    assert found.as_treated is not None
    assert found.as_treated.base.errors < expected["base"]["requests"]
    sides = {name: expected[name] for name in ("base", "candidate", "difference")}
    assert not list(same(msgspec.to_builtins(found.as_treated), sides))


PARTS: dict[str, Callable[[Any], Any]] = {
    "day": lambda row: f"{row['started_at']:%Y-%m-%d}",
    "hour": lambda row: f"{row['started_at']:%Y-%m-%dT%H:00Z}",
    "application": lambda row: row["application"],
    "endpoint": lambda row: row["endpoint"],
    "phase": lambda row: row["phase"],
    "step": lambda row: str(row["step"]),
    "model": lambda row: row["model_served"],
    "tag:team": lambda row: row["tags"].get("team"),
    "tag:note": lambda row: row["tags"].get("note"),
}


@pytest.mark.parametrize("by", PARTS)
def test_divided_it_is_a_table_for_each_part(varied: tuple[Warehouse, list[Any], list[Any]], by: str):
    warehouse, rows, feedback = varied
    part = PARTS[by]
    found = {one.part: one for one in compare_by(warehouse, NAME, 1, by, as_of=7, as_treated=True)}

    whole = asked(warehouse)
    assert sum(one.base.requests for one in found.values()) == whole.base.requests
    assert sum(one.candidate.requests for one in found.values()) == whole.candidate.requests
    for value, one in [*found.items()][:3]:
        expected = recompute(rows, feedback, NAME, 1, keep=lambda row, value=value: part(row) == value)
        treated = recompute(rows, feedback, NAME, 1, keep=lambda row, value=value: part(row) == value, served=True)
        assert (one.by, one.as_treated is None) == (by, False)
        assert not list(same(msgspec.to_builtins(one), expected))
        assert not list(
            same(msgspec.to_builtins(one.as_treated), {name: treated[name] for name in ("base", "candidate")})
        )


def test_parts_stand_in_their_own_order_or_the_most_requests_first(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([split(number, "base", step=step, phase="beta") for number, step in ((1, 10), (2, 2), (3, 2))])
    lake.put([split(4, "base", step=9, phase="canary", started_at=AT_US - 86_400_000_000)])

    def parts(by: str) -> list[str | None]:
        return [one.part for one in compare_by(warehouse, NAME, 1, by, as_of=7)]

    assert parts("step") == ["2", "9", "10"]
    assert parts("phase") == ["beta", "canary"]
    assert parts("day") == ["2026-09-20", "2026-09-21"]
    assert parts("tag:team") == [None]


def test_the_values_by_which_a_report_can_be_divided(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([split(number, "base", application=name) for number, name in enumerate(("b", "a", "a", "c", None), 1)])
    lake.put([split(6, "base", tags={"team": "red", "note": "x"}), split(7, "base", tags={"team": "blue"})])

    def listed(what: str, first: str | None = None, most: int = 9) -> list[str]:
        return values(warehouse, what, Narrowing(rollout=NAME), first=first, most=most)

    assert listed("application") == ["a", "default", "b", "c"]
    assert listed("application", "c", 2) == ["c", "a"]
    assert listed("application", "d", 1) == ["a"]
    assert listed("tag") == ["team", "note"]
    assert listed("tag:team", "red") == ["red", "blue"]


def test_a_lake_that_is_compacted_in_between_gives_the_same_numbers(warehouse: Warehouse, lake: HandmadeLake):
    rng = random.Random(5)
    named = [
        msgspec.structs.replace(
            one, response_id=f"r{one.seq % 1_100}", application="default", started_at=AT_US + one.seq * 1_000_000
        )
        for one in map(noise(rng), range(1, 1201))
    ]
    by_id = [said(number, rng.choice(named), rng.random() * 60, rating=rng.randrange(1, 6)) for number in range(200)]
    by_answer = [
        {
            **said(500 + number, one, thumb=rng.choice(("up", "down"))),
            "request_id": None,
            "response_id": one.response_id,
        }
        for number, one in enumerate(rng.choices(named, k=300))
    ]
    lake.put(named[:700])
    lake.put_feedback([*by_id[:100], *by_answer[:150]])
    lake.compact()
    lake.put(named[600:1000])
    lake.put_feedback([*by_id[50:], *by_answer[150:]])
    lake.compact()
    lake.put(named[900:])
    expected = recompute(*read_lake(lake.root), NAME, 1)
    found = msgspec.to_builtins(asked(warehouse))

    assert found["candidate"]["ratings"] > 50
    assert not list(same(found, expected))
    assert len(list(lake.root.glob("requests/*/*.parquet"))) == 1


def test_the_sql_of_the_documentation_gives_the_same_numbers(warehouse: Warehouse, lake: HandmadeLake):
    rng = random.Random(4)
    requests = [msgspec.structs.replace(one, step=3, application="default") for one in map(noise(rng), range(1, 800))]
    lake.put(requests)
    lake.put_feedback([said(number, rng.choice(requests), thumb=rng.choice(("up", "down"))) for number in range(200)])
    [statement] = re.findall(r"```sql\n(.*?)```", REPORTS.read_text(), re.DOTALL)
    with duckdb.connect(":memory:") as connection:
        answer = connection.execute(statement.replace("'lake/", f"'{lake.root}/"))
        names = [column[0] for column in answer.description]
        documented = [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    found = asked(warehouse, step=3)

    assert [row["arm"] for row in documented] == ["base", "candidate"]
    for row, arm in zip(documented, (found.base, found.candidate), strict=True):
        assert (row["requests"], row["users"], row["ratings"]) == (arm.requests, arm.users, arm.ratings)
        assert (row["p50_ms"], row["p99_ms"]) == (arm.latency_p50_ms.value, arm.latency_p99_ms.value)
        assert (row["ttft_p50_ms"], row["fine"]) == (arm.ttft_p50_ms.value, arm.error_rate.of - arm.errors)
        assert row["total_cost_usd"] == pytest.approx(arm.total_cost_usd)
        assert row["cost_usd"] == pytest.approx(arm.cost_usd.value)
        assert row["tokens"] == pytest.approx(arm.output_tokens.value)
        assert row["satisfied"] == pytest.approx(arm.satisfaction.value)


def test_one_step_is_one_part_of_a_generation(warehouse: Warehouse, lake: HandmadeLake):
    lake.put([split(1, "base", step=1), split(2, "base", step=2), split(3, "candidate", step=2)])
    whole, second = asked(warehouse), asked(warehouse, step=2)

    assert (whole.base.requests, whole.first_step, whole.last_step) == (2, 1, 2)
    assert (second.base.requests, second.candidate.requests, second.first_step, second.last_step) == (1, 1, 2, 2)
