"""Sums by hour equal what the same question says of the rows, wherever these lie, at every moment, once."""

from __future__ import annotations

import random
import shutil
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from analytics.bins import BINS, upper_ms
from analytics.lake.columns import COLUMNS as REQUEST_COLUMNS
from analytics.lake.compaction import Measures
from analytics.lake.contents import contents
from analytics.lake.directory import Directory
from analytics.lake.layout import INCOMING
from analytics.lake.manifest import read_manifest, write_manifest
from analytics.lake.rollup import COLUMNS, prepare, question, rollup_file
from analytics.record import Record
from analytics.warehouse.database import Warehouse
from tests.fakes.handmade_lake import AT_US, LATER_US, HandmadeLake, record

DAY_US = 86_400_000_000
APART = [name for name, kind in COLUMNS.items() if name == "hour" or kind in ("VARCHAR", "INTEGER", "BOOLEAN")]
ADDED = [name for name, kind in COLUMNS.items() if kind in ("BIGINT", "DOUBLE")]
SUMS = ", ".join(
    [*(f"round(sum({name}), 6)" for name in ADDED), *(f"merged_bins({name})" for name in ("latency_bins", "ttft_bins"))]
)


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    return HandmadeLake(tmp_path / "lake")


def drawn(number: int, chance: random.Random) -> Record:
    """Return a request of which anything may be unknown."""

    def maybe(value: object) -> Any:
        return None if chance.random() < 0.2 else value

    outcome = chance.choice(
        ["ok", "ok", "ok", "timeout", "upstream_error", "client_cancelled", "rejected", "interrupted"]
    )
    return record(
        number,
        started_at=AT_US + chance.randrange(3 * DAY_US),
        outcome=outcome,
        error_class=maybe("late") if outcome != "ok" else None,
        application=maybe(chance.choice(["sales", "legal"])),
        endpoint=maybe("chat.completions"),
        rollout=maybe("assistant"),
        generation=maybe(1),
        step=maybe(chance.choice([1, 2])),
        arm_assigned=maybe(chance.choice(["base", "candidate"])),
        arm_served=maybe(chance.choice(["base", "candidate"])),
        reason=maybe(chance.choice(["split", "stale", "default", "targeting_match"])),
        bucket=maybe(chance.randrange(10_000)),
        model_served=maybe(chance.choice(["gpt", "ft:gpt"])),
        purpose=chance.choice(["live", "live", "eval"]),
        stream=chance.random() < 0.5,
        fallback_reason=chance.choice([None, None, "timeout"]),
        latency_ms=maybe(chance.lognormvariate(5, 2)),
        ttft_ms=maybe(chance.lognormvariate(3, 2)),
        input_tokens=maybe(chance.randrange(2000)),
        cached_tokens=maybe(0),
        output_tokens=maybe(chance.randrange(500)),
        reasoning_tokens=maybe(chance.randrange(50)),
        cost_usd=maybe(chance.random() / 100),
    )


def summed(lake: Path, rows: str = "hourly") -> list[tuple[Any, ...]]:
    """Return the figures of each hour and combination, as the view has them or as the question says of all rows."""
    warehouse = Warehouse(Directory(lake))
    try:
        with warehouse.connection(["hourly", "requests"]) as connection:
            if rows != "hourly":
                connection.execute(f"CREATE OR REPLACE TEMP VIEW unrolled AS FROM {rows}")
                rows = f"({question()})"
            apart = ", ".join(APART)
            found = connection.execute(f"SELECT {apart}, {SUMS} FROM {rows} GROUP BY {apart} ORDER BY {apart}")
            return found.fetchall()
    finally:
        warehouse.close()


def recomputed(records: Sequence[Record]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Return what plain Python adds up of some requests, by hour and combination, in the order of the columns."""
    groups: defaultdict[tuple[Any, ...], list[Record]] = defaultdict(list)
    for one in records:
        is_split = one.reason in ("split", "stale") and one.bucket is not None
        facts = {"hour": datetime.fromtimestamp(one.started_at // 3_600_000_000 * 3600, UTC), "is_split": is_split}
        facts["hour"] = facts["hour"].replace(tzinfo=None)
        groups[tuple(facts[name] if name in facts else getattr(one, name) for name in APART)].append(one)
    return {
        key: (*figures(some), *(spread(some, name) for name in ("latency_ms", "ttft_ms")))
        for key, some in groups.items()
    }


def figures(some: Sequence[Record]) -> list[Any]:
    def known(name: str) -> list[Any]:
        return [value for one in some if (value := getattr(one, name)) is not None]

    def total(name: str) -> Any:
        return round(sum(known(name)), 6) if known(name) else None

    failed = ("upstream_error", "timeout", "malformed", "interrupted")
    free = ("client_error", "rejected", "shed")
    found = {
        "requests": len(some),
        "errors": sum(one.fallback_reason is not None or one.outcome in failed for one in some),
        "fallbacks": len(known("fallback_reason")),
        "counted": len(known("output_tokens")),
        "priced": len(known("cost_usd")),
        "cost_unknown": sum(one.cost_usd is None and one.outcome not in free for one in some),
        "latency_sum_ms": total("latency_ms"),
        "latencies": len(known("latency_ms")),
        "ttft_sum_ms": total("ttft_ms"),
        "ttfts": len(known("ttft_ms")),
    }
    return [found[name] if name in found else total(name) for name in ADDED]


def spread(some: Sequence[Record], name: str) -> list[int] | None:
    bounds = [upper_ms(number) for number in range(1, BINS + 1)]
    places = [bisect_left(bounds, value) for one in some if one.outcome == "ok" and (value := getattr(one, name))]
    return [places.count(place) for place in range(BINS)] if places else None


def rolled(lake: Path) -> int | None:
    """Return how many requests the rollups have that anybody finds who reads them as they lie there."""
    if not list(lake.glob("rollups/*/*.parquet")):
        return None
    [(requests,)] = duckdb.execute(f"SELECT sum(requests) FROM '{lake}/rollups/*/*.parquet'").fetchall()
    return int(requests)


def put(lake: HandmadeLake, records: Sequence[Record], files: int) -> None:
    for at in range(files):
        lake.put(records[at::files])


def test_sums_are_those_of_the_rows_wherever_the_rows_lie(lake: HandmadeLake) -> None:
    chance = random.Random(7)
    records = [drawn(number, chance) for number in range(1, 301)]
    put(lake, records[:250], 5)
    before = summed(lake.root)
    assert {row[: len(APART)]: row[len(APART) :] for row in before} == recomputed(records[:250])

    lake.compact(AT_US + 2 * DAY_US, measures=Measures(whole_rows=75))
    assert summed(lake.root) == before
    found = contents(lake.lake.store)[INCOMING]
    assert 0 < len(found.rollups) < len(found.parts)

    put(lake, [*records[250:], *records[:50]], 2)
    whole = summed(lake.root)
    assert {row[: len(APART)]: row[len(APART) :] for row in whole} == recomputed(records)
    lake.compact(AT_US + 9 * DAY_US)
    lake.compact(AT_US + 11 * DAY_US)
    assert summed(lake.root) == whole == summed(lake.root, "requests")
    assert rolled(lake.root) == 300


def test_a_few_figures_by_hand(lake: HandmadeLake) -> None:
    live = {"purpose": "live", "application": "sales"}
    lake.put(
        [
            record(1, latency_ms=20.0, cost_usd=0.5, **live),
            record(2, latency_ms=40.0, cost_usd=None, **live),
            record(3, latency_ms=9.0, outcome="timeout", error_class="idle_timeout", **live),
            record(4, outcome="ok", fallback_reason="timeout", cost_usd=0.25, **live),
            record(5, outcome="rejected", error_class="rate_limit_exceeded", **live),
        ]
    )
    lake.compact()
    warehouse = Warehouse(Directory(lake.root))
    query = (
        "SELECT outcome, requests, errors, fallbacks, cost_usd, priced, cost_unknown, latency_sum_ms, latencies, "
        "list_sum(latency_bins), latency_bins[41], latency_bins[49] FROM hourly ORDER BY outcome"
    )
    with warehouse.connection(["hourly"]) as connection:
        rows = connection.execute(query).fetchall()
    warehouse.close()

    assert rows == [
        ("ok", 3, 1, 1, 0.75, 2, 1, 60.0, 2, 2, 1, 1),
        ("rejected", 1, 0, 0, None, 0, 0, None, 0, None, None, None),
        ("timeout", 1, 1, 0, None, 0, 1, 9.0, 1, None, None, None),
    ]


def test_names_that_callers_invent_make_no_more_rows_than_two_hundred(lake: HandmadeLake) -> None:
    lake.put([record(number, model_served=f"invented-{number}") for number in range(1, 401)])
    lake.put([record(number, model_served="gpt") for number in range(401, 404)])
    lake.compact()
    warehouse = Warehouse(Directory(lake.root))
    query = "SELECT sum(requests) FROM hourly GROUP BY model_served = 'gpt', model_served = '(other)' ORDER BY ALL"
    with warehouse.connection(["hourly"]) as connection:
        assert connection.execute(query).fetchall() == [(3,), (199,), (201,)]
    warehouse.close()


def test_what_comes_late_has_a_rollup_of_its_own(lake: HandmadeLake) -> None:
    lake.put([record(1), record(2)])
    lake.compact()
    lake.put([record(2), record(3)])
    lake.compact(LATER_US + DAY_US)

    names = [rollup.name for rollup in contents(lake.lake.store)[INCOMING].rollups.values()]
    assert len(names) == 2
    assert {name.rpartition("/")[0] for name in names} == {"rollups/date=2026-09-21"}
    assert sorted(names) == sorted(str(path.relative_to(lake.root)) for path in lake.root.glob("rollups/*/*.parquet"))
    assert rolled(lake.root) == 3
    assert [row[len(APART)] for row in summed(lake.root)] == [3]


def test_a_lake_that_an_earlier_version_compacted_is_caught_up_on(lake: HandmadeLake) -> None:
    for day in range(3):
        lake.put([record(1 + day * 86_400), record(2 + day * 86_400)])
    lake.compact(LATER_US + DAY_US)
    before = summed(lake.root)
    known = read_manifest(lake.lake.store)
    write_manifest(lake.lake.store, msgspec.structs.replace(known, number=known.number + 1, rollups={}))
    shutil.rmtree(lake.root / "rollups")
    assert summed(lake.root) == before

    lake.compact(LATER_US + DAY_US)
    assert rolled(lake.root) == 6
    assert len(contents(lake.lake.store)[INCOMING].rollups) == 3
    assert summed(lake.root) == before
    number = read_manifest(lake.lake.store).number
    lake.compact(LATER_US + DAY_US)
    assert read_manifest(lake.lake.store).number == number


@pytest.mark.parametrize("is_earlier", [False, True])
def test_sums_stay_when_their_requests_are_let_go(lake: HandmadeLake, *, is_earlier: bool) -> None:
    lake.put([record(1), record(2)])
    lake.compact()
    before = summed(lake.root)
    if is_earlier:
        known = read_manifest(lake.lake.store)
        write_manifest(lake.lake.store, msgspec.structs.replace(known, number=known.number + 1, rollups={}))
    for at_us in (LATER_US + 9 * DAY_US, LATER_US + 10 * DAY_US):
        lake.compact(at_us, measures=Measures(retention_days=5))

    assert not list(lake.root.glob("requests/*/*.parquet"))
    assert summed(lake.root) == before
    assert summed(lake.root, "requests") == []


def test_a_rollup_that_no_manifest_names_counts_nothing(lake: HandmadeLake) -> None:
    lake.put([record(1)])
    lake.compact()
    [path] = lake.root.glob("rollups/*/*.parquet")
    shutil.copy(path, path.with_name("000099.parquet"))

    assert [row[len(APART)] for row in summed(lake.root)] == [1]


def test_a_rollup_carries_its_columns_and_its_version(lake: HandmadeLake) -> None:
    lake.put([record(1, latency_ms=5.0)])
    lake.compact()
    [path] = lake.root.glob("rollups/*/*.parquet")
    [(schema,)] = duckdb.execute(
        f"SELECT decode(value) FROM parquet_kv_metadata('{path}') WHERE decode(key) = 'turnout_schema'"
    ).fetchall()
    described = duckdb.execute(f"DESCRIBE FROM read_parquet('{path}', hive_partitioning = false)").fetchall()

    assert {name: kind for name, kind, *_ in described} == COLUMNS
    assert schema == "1"
    assert str(path.relative_to(lake.root)) == rollup_file("requests/date=2026-09-21/000001.parquet")


def test_the_question_makes_the_columns_that_are_told() -> None:
    with duckdb.connect() as connection:
        prepare(connection)
        row = ", ".join(f"NULL::{kind} AS {name}" for name, kind in REQUEST_COLUMNS.items())
        connection.execute(f"CREATE VIEW unrolled AS SELECT {row}")
        described = connection.execute(f"DESCRIBE {question()}").fetchall()

    assert {name: kind for name, kind, *_ in described} == COLUMNS
