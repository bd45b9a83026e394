from __future__ import annotations

import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import msgspec
import pytest

from analytics.lake.columns import COLUMNS, FEEDBACK_COLUMNS
from analytics.lake.place import Place
from analytics.record import Record
from analytics.warehouse.edition import Edition
from analytics.warehouse.published import publish
from analytics.warehouse.sandbox import QueryLimits, run
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record

PATIENT = QueryLimits(time_s=60, steps_back=False)
DAY_US = 86_400_000_000
NOW_US = AT_US + 1000 * 1_000_000


def edition(lake: HandmadeLake, **facts: Any) -> Edition:
    target = lake.root.parent / "all.duckdb"
    known = Edition(
        lake=Place(url=str(lake.root)), target=str(target), as_of=NOW_US, days=30, max_rows=1_000_000, applications=None
    )
    return msgspec.structs.replace(known, **facts)


def look(made: Edition, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(made.target, read_only=True) as connection:
        return connection.execute(query).fetchall()


def published(lake: HandmadeLake, **facts: Any) -> Edition:
    made = edition(lake, **facts)
    publish(made)
    return made


def test_a_copy_has_the_lakes_columns_and_rows_and_says_as_of_when(lake: HandmadeLake):
    lake.put([record(number, application="sales", cost_usd=0.5) for number in range(1, 6)])
    lake.put_feedback([{"feedback_id": UUID(int=1), "received_at": AT_US, "application": "sales", "thumb": "up"}])
    made = published(lake)

    assert {name: kind for name, kind, *_ in look(made, "DESCRIBE requests")} == COLUMNS
    assert {name: kind for name, kind, *_ in look(made, "DESCRIBE feedback")} == FEEDBACK_COLUMNS
    assert look(made, "SELECT count(*), sum(cost_usd) FROM requests") == [(5, 2.5)]
    assert look(made, "SELECT status FROM judged") == [("unmatched",)]
    assert look(made, "SELECT as_of, requests FROM copy") == [(datetime(2026, 9, 21, 14, 30), 5)]  # noqa: DTZ001 - as the lake has times
    assert Path(made.target).stat().st_mtime_ns == NOW_US * 1000
    assert Path(made.target).stat().st_mode & 0o777 == 0o600


def test_an_empty_lake_makes_an_empty_copy(tmp_path: Path):
    made = Edition(
        lake=Place(url=str(tmp_path / "nowhere")), target=str(tmp_path / "c.duckdb"), as_of=NOW_US, days=1, max_rows=10
    )
    publish(made)

    tables = {name for (name,) in look(made, "SHOW TABLES")}
    assert tables == {"requests", "feedback", "judged", "ratings", "hours", "copy"}
    assert not [name for name in tables - {"copy"} if look(made, f"FROM {name}")]


def test_ratings_are_those_of_requests_that_were_rated(lake: HandmadeLake):
    rated = record(1, application="sales")
    lake.put([rated, record(2, application="sales")])
    piece = {"feedback_id": UUID(int=1), "received_at": rated.started_at, "application": "sales", "rating": 5}
    lake.put_feedback([{**piece, "request_id": UUID(rated.request_id)}])

    assert look(published(lake), "SELECT rating, positive FROM requests JOIN ratings USING (request_id)") == [(5, 1)]


def test_old_rows_are_left_to_the_lake_but_for_their_hours(lake: HandmadeLake):
    old = msgspec.structs.replace(record(1), started_at=NOW_US - 3 * DAY_US)
    lake.put([old, record(2)])
    made = published(lake, days=2)

    assert look(made, "SELECT count(*) FROM requests") == [(1,)]
    assert look(made, "SELECT sum(requests), count(*) FROM hours") == [(2, 2)]


@pytest.mark.parametrize(("max_rows", "kept"), [(180, 180), (179, 120), (1, 60)])
def test_as_many_whole_minutes_are_copied_as_fit_and_at_least_the_newest(lake: HandmadeLake, max_rows: int, kept: int):
    start = AT_US // 60_000_000 * 60_000_000

    def at(second: int) -> Record:
        return msgspec.structs.replace(record(second + 1), started_at=start + second * 1_000_000)

    lake.put([at(second) for second in range(180)])
    made = published(lake, max_rows=max_rows)

    assert look(made, "SELECT count(*) FROM requests") == [(kept,)]
    assert look(made, "SELECT since <= (SELECT min(started_at) FROM requests) FROM copy") == [(True,)]
    assert look(made, "SELECT sum(requests) FROM hours") == [(180,)]


def test_a_scoped_copy_holds_nothing_of_other_applications(lake: HandmadeLake):
    lake.put([record(1, application="sales"), record(2, application="legal"), record(3)])
    lake.put_feedback(
        [
            {"feedback_id": UUID(int=number), "received_at": AT_US, "application": application, "thumb": "up"}
            for number, application in enumerate(("sales", "legal"), start=1)
        ]
    )
    made = published(lake, applications=("sales",))

    for name in ("requests", "feedback", "judged", "hours"):
        assert look(made, f"SELECT DISTINCT application FROM {name}") == [("sales",)]
    assert look(made, "SELECT requests FROM copy") == [(1,)]
    assert b"legal" not in Path(made.target).read_bytes()


def test_a_new_copy_takes_the_place_of_the_former_which_who_has_it_open_goes_on_reading(lake: HandmadeLake):
    lake.put([record(1)])
    made = published(lake)
    with duckdb.connect(made.target, read_only=True) as former:
        lake.put([record(2)])
        subprocess.run(
            [sys.executable, "-m", "analytics.warehouse.published"], input=msgspec.json.encode(made), check=True
        )

        assert former.execute("SELECT count(*) FROM requests").fetchall() == [(1,)]
    assert look(made, "SELECT count(*) FROM requests") == [(2,)]
    assert [path.name for path in lake.root.parent.iterdir() if path != lake.root] == ["all.duckdb"]


def test_what_a_killed_process_left_is_no_hindrance(lake: HandmadeLake):
    lake.put([record(1)])
    made = edition(lake)
    for left in (".tmp", ".tmp.wal"):
        Path(made.target + left).write_bytes(b"half of a database")
    publish(made)

    assert look(made, "SELECT count(*) FROM requests") == [(1,)]


def test_a_lake_that_cannot_be_read_leaves_the_former_copy(lake: HandmadeLake):
    lake.put([record(1)])
    made = published(lake)
    (lake.root / "incoming/w0-b1-000002-0-1.parquet").write_bytes(b"no parquet at all")
    words = [sys.executable, "-m", "analytics.warehouse.published"]
    ended = subprocess.run(words, input=msgspec.json.encode(made), capture_output=True, check=False)

    assert ended.returncode == 1
    assert b"w0-b1-000002-0-1.parquet" in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert look(made, "SELECT count(*) FROM requests") == [(1,)]


def examples() -> list[str]:
    page = Path(__file__).parents[3] / "docs/sql.md"
    return re.findall(r"```sql\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_examples_of_the_documentation_are_answered_from_a_copy(lake: HandmadeLake):
    now_us = time.time_ns() // 1000
    rated = record(1, started_at=now_us, application="sales", purpose="live", model_served="gpt", cost_usd=0.5)
    failed = record(2, started_at=now_us, purpose="eval", outcome="timeout", error_class="late")
    lake.put([msgspec.structs.replace(rated, latency_ms=5.0, arm_assigned="base"), failed])
    piece = {"feedback_id": UUID(int=1), "received_at": now_us, "application": "sales", "thumb": "up"}
    lake.put_feedback([{**piece, "request_id": UUID(rated.request_id)}])
    made = published(lake, as_of=now_us)

    _, per_answer, failures, slowest = (run(query, Path(made.target), PATIENT).text for query in examples())
    assert per_answer.startswith(b'["sales","gpt",1,0.5,1,0.5]\n')
    assert failures.startswith(b'[null,null,"late",1,')
    assert slowest.endswith(b'"base",5.0,5.0]\n')


def test_a_day_may_be_given_as_a_parameter_of_text(lake: HandmadeLake):
    lake.put([record(1)])
    query = "SELECT count(*) FROM requests WHERE started_at >= $since"
    found = run(query, Path(published(lake).target), PATIENT, parameters={"since": "2026-09-21"})

    assert found.text == b"[1]\n"


def test_every_table_is_documented_with_its_columns(lake: HandmadeLake):
    page = (Path(__file__).parents[3] / "docs/sql.md").read_text()
    made = published(lake)
    missing = [
        f"{table}.{column}"
        for (table,) in look(made, "SHOW TABLES")
        if table not in {"requests", "feedback"}
        for column, *_ in look(made, f"DESCRIBE {table}")
        if f"`{column}`" not in page
    ]

    assert not missing
