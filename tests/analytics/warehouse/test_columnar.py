from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.lake.columns import COLUMNS, FEEDBACK_COLUMNS
from analytics.warehouse.answer import expressions
from analytics.warehouse.columnar import NoParquetError, known, parquet
from analytics.warehouse.sandbox import Answer
from analytics.warehouse.walls import Walls

WALLS = Walls(landlock=0, empty_network=False)


def answered(query: str) -> Answer:
    """Return an answer as the sandbox writes it."""
    with duckdb.connect() as connection:
        columns = [(name, str(kind)) for name, kind, *_ in connection.execute(f"FROM ({query}) LIMIT 0").description]
        aliases = ", ".join(f"c{at}" for at in range(len(columns)))
        row = expressions("text", [kind for _, kind in columns])
        rows = connection.execute(f"SELECT {row} FROM ({query}) AS answer({aliases})").fetchall()
    text = "".join(f"{line}\n" for (line,) in rows).encode()
    return Answer(columns=tuple(columns), rows=len(rows), text=text, walls=WALLS, as_of=0)


def read(folder: Path, answer: Answer) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
    (folder / "a.parquet").write_bytes(parquet(answer))
    with duckdb.connect() as connection:
        found = connection.execute(f"FROM '{folder}/a.parquet'")
        return [(name, str(kind)) for name, kind, *_ in found.description], found.fetchall()


@pytest.mark.parametrize(
    "value",
    [
        "1::TINYINT",
        "1.5::DOUBLE",
        "'nan'::DOUBLE",
        "true",
        "'a\"\n雪'",
        "''",
        "NULL::INTEGER",
        "from_hex('ff0041')",
        "'4a5e1e4b-aab8-4a5e-9e4b-aab84a5e1e4b'::UUID",
        "DATE '2026-11-22'",
        "TIMESTAMP '2026-11-22 14:00:00.123456'",
        "12.34::DECIMAL(5,2)",
        "[1, NULL, 3]",
        "MAP {'a, b': 'c=\"d\"'}",
        "[{'arm': 'base', 'status': 200, 'cost_usd': 0.1::DOUBLE}]",
    ],
)
def test_a_value_and_its_type_come_back_as_they_were(tmp_path: Path, value: str):
    answer = answered(f"SELECT {value} AS one")
    columns, rows = read(tmp_path, answer)
    with duckdb.connect() as connection:
        expected = connection.execute(f"SELECT {value}").fetchall()

    assert columns == list(answer.columns)
    assert str(rows) == str(expected)


def test_a_sum_stays_exact(tmp_path: Path):
    columns, rows = read(tmp_path, answered("SELECT sum(n) AS total FROM (VALUES (9007199254740993), (2)) AS t(n)"))

    assert columns == [("total", "DECIMAL(38,0)")]
    assert int(rows[0][0]) == 9007199254740995


def test_columns_of_one_name_are_told_apart(tmp_path: Path):
    columns, _ = read(tmp_path, answered('SELECT 1 AS a, 2 AS a, 3 AS "a_2", 4 AS "x ""y"""'))

    assert [name for name, _ in columns] == ["a", "a_1", "a_2", 'x "y"']


def test_an_answer_without_rows_has_its_columns(tmp_path: Path):
    columns, rows = read(tmp_path, answered("SELECT 1 AS a, 'x' AS b LIMIT 0"))

    assert (columns, rows) == ([("a", "INTEGER"), ("b", "VARCHAR")], [])


@pytest.mark.parametrize("kind", [*COLUMNS.values(), *FEEDBACK_COLUMNS.values()])
def test_every_type_of_the_lake_is_known(kind: str):
    assert known(kind)


@pytest.mark.parametrize(
    "kind",
    [
        '"NULL"',
        "INTERVAL",
        "INTEGER) AS a, (SELECT content FROM read_text('/etc/passwd')",
        "STRUCT(a INTEGER), x VARCHAR)[]",
        "STRUCT(a (SELECT 1))",
        "MAP(VARCHAR, (SELECT 1))",
        "DECIMAL(5,2) --",
    ],
)
def test_a_type_that_is_not_known_becomes_text(tmp_path: Path, kind: str):
    answer = Answer(columns=(("a", kind),), rows=1, text=b'["1 day"]\n', walls=WALLS, as_of=0)

    assert not known(kind)
    assert read(tmp_path, answer) == ([("a", "VARCHAR")], [("1 day",)])


def test_a_value_that_is_not_of_its_type_is_said():
    answer = Answer(columns=(("a", "INTEGER"),), rows=1, text=b'["one"]\n', walls=WALLS, as_of=0)

    with pytest.raises(NoParquetError, match="VARCHAR"):
        parquet(answer)
