from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import httpx
import pytest

from analytics.warehouse.walls import landlock_version
from gateway.console.control import Control
from gateway.settings.schema import Sql
from tests.fakes.console import SALES, opened, serving
from tests.fakes.handmade_lake import HandmadeLake, record

MATRIX: dict[str, list[str]] = json.loads((Path(__file__).parents[1] / "roles.json").read_text())


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> HandmadeLake:
    made = HandmadeLake(tmp_path_factory.mktemp("lake"))
    now_us = time.time_ns() // 1000
    made.put([record(n, started_at=now_us, application="sales", tags={"team": "a,b"}) for n in range(1, 4)])
    return made


@pytest.fixture(scope="module")
def analyst(tmp_path_factory: pytest.TempPathFactory, lake: HandmadeLake) -> Iterator[httpx.Client]:
    with (
        opened(tmp_path_factory.mktemp("state")) as control,
        serving(control, lake.root) as console,
        console.client(console.key("analyst")) as client,
    ):
        client.timeout = 90
        yield client


def test_a_select_is_answered_with_columns_rows_and_the_age_of_the_copy(analyst: httpx.Client):
    query = "SELECT application, count(*) AS n, sum(cost_usd) AS cost FROM requests GROUP BY ALL HAVING n > $least"
    answer = analyst.post("/api/v1/sql", json={"query": query, "parameters": {"least": 2}})

    found = answer.json()
    assert answer.status_code == 200
    assert found["rows"] == [["sales", 3, None]]
    assert [column["type"] for column in found["columns"]] == ["VARCHAR", "BIGINT", "DOUBLE"]
    assert (found["row_count"], found["landlock"]) == (1, landlock_version())
    assert abs(time.time() - found["as_of"] / 1_000_000) < 300
    assert answer.headers["x-turnout-as-of"] == str(found["as_of"])


def test_an_answer_without_rows_is_one(analyst: httpx.Client):
    assert analyst.post("/api/v1/sql", json={"query": "FROM feedback"}).json()["rows"] == []


def test_csv_and_parquet_are_files(analyst: httpx.Client, tmp_path: Path):
    asked = {"query": "SELECT application, tags['team'] AS team FROM requests"}
    text = analyst.post("/api/v1/sql?format=csv", json=asked)
    file = analyst.post("/api/v1/sql?format=parquet", json=asked)
    (tmp_path / "a.parquet").write_bytes(file.content)
    with duckdb.connect() as connection:
        rows = connection.execute(f"FROM '{tmp_path}/a.parquet'").fetchall()

    assert text.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(text.text))) == [["application", "team"], *[["sales", "a,b"]] * 3]
    assert rows == [("sales", "a,b")] * 3
    assert file.headers["x-turnout-rows"] == "3"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"query": "SELECT 1; SELECT 2"}, 400, "invalid_query"),
        ({"query": "COPY requests TO '/tmp/out.csv'"}, 400, "invalid_query"),
        ({"query": "SELECT * FROM read_text('/etc/hostname')"}, 400, "invalid_query"),
        ({"query": "SELECT $x"}, 400, "invalid_query"),
        ({"query": "SELECT list(repeat('x', 1000) || range) FROM range(100000000)"}, 400, "query_limit"),
        ({"query": ""}, 400, "invalid_request"),
        ({"query": "SELECT 1", "id": "no good"}, 400, "invalid_request"),
        ({"query": "SELECT 1", "id": "queries"}, 400, "invalid_request"),
        ({"query": "SELECT $x", "parameters": {"x": [1]}}, 400, "invalid_request"),
        ({"sql": "SELECT 1"}, 400, "invalid_request"),
    ],
)
def test_what_is_refused_says_why(analyst: httpx.Client, body: dict[str, object], status: int, code: str):
    answer = analyst.post("/api/v1/sql", json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_format_that_there_is_not_is_refused(analyst: httpx.Client):
    unknown, listed = (
        analyst.post("/api/v1/sql?format=xlsx", json={"query": "SELECT 1"}),
        analyst.post("/api/v1/sql", json=[]),
    )
    assert (unknown.status_code, listed.status_code) == (400, 400)
    assert "format: Invalid enum value 'xlsx'; write one of json, csv, parquet" in unknown.json()["error"]["message"]
    assert "cannot be read: the body: " in listed.json()["error"]["message"]


def test_a_query_that_does_not_run_cannot_be_cancelled(analyst: httpx.Client):
    answer = analyst.delete("/api/v1/sql/nothing")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "query_not_found")


def test_who_waits_for_a_query_sees_how_far_it_is_and_may_end_it(analyst: httpx.Client):
    analyst.post("/api/v1/sql", json={"query": "SELECT 1"})
    asked = {"query": "SELECT sum(range) FROM range(20000000000)", "id": "long"}
    with ThreadPoolExecutor(1) as beside:
        answer = beside.submit(analyst.post, "/api/v1/sql", json=asked)
        shown, give_up_s = analyst.get("/api/v1/sql/long"), time.monotonic() + 60
        while time.monotonic() < give_up_s and not shown.json().get("percent"):
            time.sleep(0.02)
            shown = analyst.get("/api/v1/sql/long")
        listed = analyst.get("/api/v1/sql").json()
        ended = analyst.delete("/api/v1/sql/long").status_code

    assert shown.json()["state"] == "running"
    assert 1 <= shown.json()["percent"] <= 100
    assert [(one["id"], one["query"]) for one in listed] == [("long", asked["query"])]
    assert (ended, answer.result().json()["error"]["code"]) == (204, "query_cancelled")
    assert analyst.get("/api/v1/sql/long").json()["error"]["code"] == "query_not_found"


def test_a_query_is_saved_asked_with_other_values_and_removed(analyst: httpx.Client):
    kept = {"query": "SELECT $a + $b AS total", "parameters": {"a": 1, "b": 2}, "description": "adds"}
    saved = analyst.put("/api/v1/sql/queries/adding", json=kept).json()
    answers = [
        analyst.post("/api/v1/sql", json={"saved": "adding", **given}).json()["rows"]
        for given in ({}, {"parameters": {"b": 40}})
    ]
    both = analyst.post("/api/v1/sql", json={"saved": "adding", "query": "SELECT 1"})
    listed = analyst.get("/api/v1/sql/queries").json()
    removed = analyst.delete("/api/v1/sql/queries/adding").status_code

    assert answers == [[[3]], [[41]]]
    assert listed == [saved]
    assert saved["by"].startswith("analyst key")
    assert (both.status_code, removed) == (400, 204)
    assert analyst.post("/api/v1/sql", json={"saved": "adding"}).json()["error"]["code"] == "query_not_found"
    assert analyst.post("/api/v1/sql", json={}).status_code == 400


def test_an_analyst_of_one_application_sees_its_rows_and_nothing_else(control: Control, lake: HandmadeLake):
    lake.put([record(77, started_at=time.time_ns() // 1000, application="default")])
    with serving(control, lake.root) as console:
        key = control.keys.create_key("analyst", "default", "", actor="test").key
        with console.client(key) as client:
            found = client.post("/api/v1/sql", json={"query": "SELECT application FROM requests"}, timeout=90).json()
            cancelled = client.delete("/api/v1/sql/nothing").status_code
            running = client.get("/api/v1/sql")
            open_to_it = ("/healthz", "/api/v1/sql", "/api/v1/sql/{query_id}")
            paths = [path for method, path in map(str.split, MATRIX) if method == "GET" and path not in open_to_it]
            statuses = {client.get(path.format(name=SALES, path="x")).status_code for path in paths}

    assert running.json() == []
    assert found["rows"] == [["default"]]
    assert cancelled == 404
    assert statuses == {403}


def test_where_landlock_is_required_and_missing_nothing_is_answered(control: Control, lake: HandmadeLake):
    required = Sql(timeout_s=60, require_landlock=True)
    with serving(control, lake.root, sql=required) as console, console.client(console.key("analyst")) as client:
        status = client.post("/api/v1/sql", json={"query": "SELECT 1"}, timeout=90).status_code

    assert status == (200 if landlock_version() else 503)
