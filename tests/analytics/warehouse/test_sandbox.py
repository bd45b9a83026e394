"""A hostile analyst: every way out that is known, through the front door. None reads, writes or sends."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import msgspec
import pytest

from analytics.warehouse import sandbox
from analytics.warehouse.sandbox import (
    MIB,
    Answer,
    Cancellation,
    CancelledQueryError,
    NoSandboxError,
    QueryLimitError,
    QueryLimits,
    RefusedQueryError,
    SandboxError,
    run,
)
from analytics.warehouse.walls import landlock_version

CANARY = "canary-7f31c0"
PATIENT = QueryLimits(time_s=60, steps_back=False)

READS = (
    "SELECT * FROM '{canary}'",
    "SELECT * FROM read_csv('{canary}')",
    "SELECT * FROM read_csv_auto('{canary}')",
    "SELECT * FROM read_text('{canary}')",
    "SELECT * FROM read_blob('{canary}')",
    "SELECT * FROM read_json('{canary}')",
    "SELECT * FROM read_parquet('{canary}')",
    "SELECT * FROM read_text('{folder}/*')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_text('/proc/self/cmdline')",
    "SELECT * FROM read_duckdb('{other}')",
    "SELECT * FROM sniff_csv('{canary}')",
    "SELECT * FROM parquet_metadata('{canary}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT file FROM glob('/**')",
    "SELECT * FROM read_text('https://127.0.0.1:9/')",
    "SELECT * FROM read_parquet('s3://bucket/key')",
    "SELECT getenv('TURNOUT_SECRET')",
    "SELECT * FROM query('SELECT * FROM read_text(''{canary}'')')",
    "SELECT * FROM query_table('{canary}')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{canary}'')'))",
    "WITH a AS MATERIALIZED (SELECT * FROM read_text('{canary}')) SELECT * FROM a",
    "SELECT (SELECT content FROM read_text('{canary}'))",
    "SELECT * FROM requests) UNION ALL (SELECT content FROM read_text('{canary}')",
    "SELECT 1) AS answer(c0), read_text('{canary}') --",
    "SELECT * FROM duckdb_secrets()",
)
MEMORY = (
    "SELECT repeat(repeat('x', 100000), 20000)",
    "SELECT length(repeat('x', 3000000000) || n) FROM requests",
    "SELECT list(repeat('x', 1000) || range) FROM range(100000000)",
    "SELECT array_agg(a.range) OVER (ORDER BY a.range) FROM range(1000000) a",
    "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
    "SELECT count(DISTINCT hash(range) || 'x' || range) FROM range(2000000000)",
)
TIME = (
    "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3",
    "SELECT max(levenshtein(repeat('ab', 20000 + n), repeat('ba', 20000))) FROM requests, range(1000)",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n % 7 + 1 FROM t) SELECT count(*) FROM t",
    "SELECT sum(range) FROM range(2000000000000)",
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a published copy, beside which lie a text and a database that are nobody's business."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "canary.txt").write_text(CANARY)
    with duckdb.connect(str(folder / "other.duckdb")) as other:
        other.execute(f"CREATE TABLE kept AS SELECT '{CANARY}' AS word")
    (folder / "sql").mkdir()
    path = folder / "sql/all.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE requests AS SELECT range AS n, 'row ' || range AS word FROM range(1000)")
    os.utime(path, ns=(1_790_000_000_000_000_000, 1_790_000_000_000_000_000))
    return path


@pytest.fixture
def host(copy: Path) -> Iterator[dict[str, str]]:
    """Yield where things lie; nothing may have been written or changed in the end."""
    folder = copy.parent.parent
    before = state(folder)
    yield {"folder": str(folder), "canary": str(folder / "canary.txt"), "other": str(folder / "other.duckdb")}
    assert state(folder) == before


def state(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def asked(query: str, copy: Path, limits: QueryLimits = PATIENT) -> bytes:
    """Return an answer's text; of a refusal its sentence, which must tell no canary either."""
    try:
        return run(query, copy, limits).text
    except SandboxError as error:
        return str(error).encode()


def test_an_answer_has_columns_types_rows_and_the_age_of_the_copy(copy: Path):
    found = run(
        "SELECT n, word FROM requests WHERE n >= $least ORDER BY n DESC", copy, PATIENT, parameters={"least": 998}
    )

    assert found.columns == (("n", "BIGINT"), ("word", "VARCHAR"))
    assert found.text == b'[999,"row 999"]\n[998,"row 998"]\n'
    assert found.rows == 2
    assert found.as_of == 1_790_000_000_000_000


@pytest.mark.parametrize(
    "query",
    [
        "FROM requests LIMIT 1;",
        "WITH a AS (SELECT 1) SELECT * FROM a -- the end",
        "VALUES (1), (2)",
        "DESCRIBE requests",
        "SHOW TABLES",
        "SUMMARIZE requests",
        "FROM (PIVOT requests ON n IN (1, 2) USING count(*) GROUP BY word) LIMIT 3",
        "SELECT 1 AS a, 2 AS a",
        "SELECT now(), INTERVAL 1 MONTH, uuid(), current_date",
    ],
)
def test_what_is_one_select_in_any_form_is_answered(copy: Path, query: str):
    assert run(query, copy, PATIENT).rows


def test_the_order_of_rows_is_kept_in_a_large_answer(copy: Path):
    found = run("SELECT a.n * 90 + b.n FROM requests a, requests b WHERE b.n < 90 ORDER BY 1 DESC", copy, PATIENT)

    assert [msgspec.json.decode(line) for line in found.text.splitlines()] == [
        [number] for number in range(89_999, -1, -1)
    ]


@pytest.mark.parametrize("attack", READS)
def test_nothing_is_read_but_the_copy(copy: Path, host: dict[str, str], attack: str):
    found = asked(attack.format(**host), copy)

    assert CANARY.encode() not in found
    assert not found.startswith(b"[") or found == b"[]"


def test_of_the_host_an_analyst_learns_no_path_and_no_variable(copy: Path, host: dict[str, str]):
    told = [asked(f"SELECT * FROM {name}()", copy) for name in ("duckdb_databases", "duckdb_settings")]
    told.append(asked("SELECT current_setting('home_directory'), current_setting('secret_directory')", copy))

    home = os.environ.get("HOME", "~")
    assert all(text.startswith(b"[") for text in told)
    assert not [text for text in told if host["folder"].encode() in text or f'"{home}'.encode() in text]


@pytest.mark.parametrize(
    "attack", ["COPY requests TO '{folder}/out.csv'", "ATTACH '{other}' AS other", "SELECT 1; SELECT 2"]
)
def test_nothing_but_one_select_is_taken(copy: Path, host: dict[str, str], attack: str):
    with pytest.raises(RefusedQueryError):
        run(attack.format(**host), copy, PATIENT)


def test_settings_are_locked_behind_the_rule_of_one_select(copy: Path):
    text = run("SELECT name, value FROM duckdb_settings()", copy, PATIENT).text
    settings = dict(msgspec.json.decode(line) for line in text.splitlines())

    assert settings["lock_configuration"] == "true"
    assert settings["enable_external_access"] == "false"
    assert settings["threads"] == "1"
    assert settings["memory_limit"] == "256.0 MiB"


@pytest.mark.parametrize("bomb", MEMORY)
def test_a_bomb_of_memory_ends_and_is_told(copy: Path, bomb: str):
    with pytest.raises(QueryLimitError, match="memory"):
        run(bomb, copy, PATIENT)


def test_a_bomb_of_time_ends_at_its_limit(copy: Path):
    def ended(bomb: str) -> float:
        began = time.monotonic()
        with pytest.raises(QueryLimitError, match="longer than 1 s"):
            run(bomb, copy, QueryLimits(time_s=1))
        return time.monotonic() - began

    with ThreadPoolExecutor(len(TIME)) as threads:
        assert max(threads.map(ended, TIME)) < 20


def test_an_answer_with_too_many_rows_is_refused_whole(copy: Path):
    limits = QueryLimits(time_s=60, rows=999)

    assert run("FROM requests LIMIT 999", copy, limits).rows == 999
    with pytest.raises(QueryLimitError, match="more than 999 rows"):
        run("FROM requests", copy, limits)


def test_an_answer_of_too_many_bytes_is_refused_whole(copy: Path):
    with pytest.raises(QueryLimitError, match="longer than 1 MiB"):
        run("SELECT repeat('x', 10000) FROM requests", copy, QueryLimits(time_s=60, answer_bytes=MIB))


def test_a_query_can_be_cancelled_while_it_runs_and_before(copy: Path):
    stop = Cancellation()
    threading.Timer(0.5, stop.cancel).start()
    began = time.monotonic()
    with pytest.raises(CancelledQueryError):
        run(TIME[0], copy, PATIENT, cancellation=stop)

    assert time.monotonic() - began < 30
    with pytest.raises(CancelledQueryError):
        run(TIME[0], copy, PATIENT, cancellation=stop)


def test_while_a_query_runs_its_percent_rises(copy: Path):
    told, stop = list[int](), Cancellation()

    def tell(percent: int) -> None:
        told.append(percent)
        if len(told) == 2:
            stop.cancel()

    with pytest.raises(CancelledQueryError):
        run("SELECT sum(range) FROM range(5000000000)", copy, PATIENT, cancellation=stop, tell=tell)

    assert 0 <= told[0] < told[1] <= 100


def test_nothing_is_left_of_a_query_that_was_killed(copy: Path):
    def children() -> list[str]:
        return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()

    if not Path("/proc/self/task").exists():
        pytest.skip("not exercised: this system has no /proc")
    before = children()
    for limits, bomb in ((QueryLimits(time_s=0.5), TIME[0]), (PATIENT, MEMORY[0])):
        with pytest.raises(QueryLimitError):
            run(bomb, copy, limits)

    assert children() == before


def test_every_answer_says_which_walls_stood(copy: Path):
    assert run("SELECT 1", copy, PATIENT).walls.landlock == landlock_version()


def test_without_a_copy_there_is_no_answer(tmp_path: Path):
    with pytest.raises(NoSandboxError, match="missing"):
        run("SELECT 1", tmp_path / "all.duckdb", PATIENT)


def test_a_copy_that_cannot_be_read_is_said(tmp_path: Path):
    (tmp_path / "all.duckdb").write_bytes(b"no database at all" * 1000)

    with pytest.raises(SandboxError, match="database"):
        run("SELECT 1", tmp_path / "all.duckdb", PATIENT)


def test_csv_begins_with_the_columns_names(copy: Path):
    found: Answer = run('SELECT n, word AS "a ""b""" FROM requests LIMIT 1', copy, PATIENT, form="csv")

    assert found.text == b'"n","a ""b"""\n0,row 0\n'
    assert sandbox.run("SELECT n FROM requests LIMIT 0", copy, PATIENT, form="csv").text == b'"n"\n'
