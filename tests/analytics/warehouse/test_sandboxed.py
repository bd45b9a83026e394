"""What runs inside: the same opening and the same rule, without the process around them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import duckdb
import msgspec
import pytest

from analytics.warehouse.order import Head, Order, Tail
from analytics.warehouse.sandboxed import RefusedError, answer, opened
from analytics.warehouse.walls import Bounds, Walls

WALLS = Walls(landlock=0, empty_network=False)

OTHER_STATEMENTS = (
    "COPY requests TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.parquet' (FORMAT parquet)",
    "EXPORT DATABASE '{folder}/out'",
    "ATTACH '{other}' AS other",
    "ATTACH '{folder}/new.duckdb' AS fresh",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL httpfs FROM community",
    "SET memory_limit = '64GB'",
    "SET enable_external_access = true",
    "SET GLOBAL lock_configuration = false",
    "RESET lock_configuration",
    "PRAGMA enable_logging",
    "CALL enable_logging()",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE MACRO requests() AS TABLE SELECT 1",
    "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "INSERT INTO requests VALUES (1, 'x')",
    "DELETE FROM requests",
    "DROP TABLE requests",
    "PREPARE p AS SELECT 1",
    "CHECKPOINT",
    "EXPLAIN ANALYZE SELECT 1",
    "USE system",
    "BEGIN",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY requests TO '{folder}/out.csv'",
    "",
    ";",
    "-- nothing",
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(tmp_path / "all.duckdb")) as made:
        made.execute("CREATE TABLE requests AS SELECT range AS n, 'row ' || range AS word FROM range(1000)")
    (tmp_path / "other.duckdb").touch()
    with opened(str(tmp_path / "all.duckdb"), 256) as found:
        yield found


def order(query: str, **facts: object) -> Order:
    known = Order(
        query=query, bounds=Bounds(memory_bytes=1, cpu_s=1), memory_limit_mib=256, rows=100, answer_bytes=10_000
    )
    return msgspec.structs.replace(known, **facts)


@pytest.mark.parametrize("attack", OTHER_STATEMENTS)
def test_nothing_but_one_select_is_taken(connection: duckdb.DuckDBPyConnection, tmp_path: Path, attack: str):
    query = attack.format(folder=tmp_path, other=tmp_path / "other.duckdb")

    with pytest.raises(RefusedError) as refused:
        answer(connection, order(query), WALLS, io.BytesIO())

    assert refused.value.tail.reason == "refused"
    assert refused.value.tail.message
    assert {path.name for path in tmp_path.iterdir()} == {"all.duckdb", "other.duckdb"}


@pytest.mark.parametrize(
    "attack",
    [
        "COPY requests TO '{folder}/out.csv'",
        "ATTACH '{folder}/other.duckdb'",
        "SET threads = 2",
        "DELETE FROM requests",
    ],
)
def test_what_the_rule_would_let_through_duckdb_would_still_refuse(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, attack: str
):
    with pytest.raises(duckdb.Error, match=r"disabled by configuration|locked|read-only"):
        connection.execute(attack.format(folder=tmp_path))


def test_an_answer_is_a_head_and_a_line_for_each_row(connection: duckdb.DuckDBPyConnection):
    out = io.BytesIO()
    tail = answer(connection, order("SELECT n FROM requests WHERE n < $n", parameters={"n": 2}), WALLS, out)

    head, *rows = out.getvalue().splitlines()
    assert msgspec.json.decode(head, type=Head) == Head(columns=(("n", "BIGINT"),), walls=WALLS)
    assert rows == [b"[0]", b"[1]"]
    assert tail == Tail(rows=2)


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("FROM requests", "rows"),
        ("SELECT repeat('x', 20000)", "bytes"),
        ("SELECT list(repeat('x', 1000) || range) FROM range(100000000)", "memory"),
        ("SELECT * FROM nowhere", "refused"),
        ("SELECT n FROM requests WHERE n = $missing", "refused"),
    ],
)
def test_what_is_too_large_or_wrong_is_refused_for_its_reason(
    connection: duckdb.DuckDBPyConnection, query: str, reason: str
):
    with pytest.raises(RefusedError) as refused:
        answer(connection, order(query), WALLS, io.BytesIO())

    assert refused.value.tail.reason == reason


def test_an_error_shows_the_statement_of_the_analyst_alone(connection: duckdb.DuckDBPyConnection):
    with pytest.raises(RefusedError) as refused:
        answer(connection, order("SELECT wrd FROM requests"), WALLS, io.BytesIO())

    assert refused.value.tail.message == (
        'Binder Error: Referenced column "wrd" not found in FROM clause! Candidate bindings: "word"'
    )


@pytest.mark.parametrize("form", ["json", "csv", "text"])
def test_every_form_has_as_many_rows(connection: duckdb.DuckDBPyConnection, form: str):
    assert answer(connection, order("FROM requests LIMIT 7", form=form), WALLS, io.BytesIO()).rows == 7
