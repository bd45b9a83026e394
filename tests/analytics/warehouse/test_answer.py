from __future__ import annotations

import csv
import io
import json

import duckdb
import pytest

from analytics.warehouse.answer import expressions, json_line


def written(form: str, *values: str) -> str:
    names = ", ".join(f"c{at}" for at in range(len(values)))
    row = expressions(form, ["ANY"] * len(values))
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {row} FROM (SELECT {', '.join(values)}) AS answer({names})")
        [(text,)] = found.fetchall()
    return text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", 1),
        ("1.5", 1.5),
        ("sum(1)", 1),
        ("true", True),
        ("NULL", None),
        ("''", ""),
        ("'a\"' || chr(10)", 'a"\n'),
        ("'nan'::DOUBLE", "nan"),
        ("-'inf'::DOUBLE", "-inf"),
        ("['inf'::DOUBLE, 1]", ["inf", 1]),
        ("'Infinity and NaN'", "Infinity and NaN"),
        ("{'a': [1, NULL]}", {"a": [1, None]}),
        ("MAP {'k': 'v'}", {"k": "v"}),
        ("1::HUGEINT << 100", 1 << 100),
        ("TIMESTAMP '2026-11-22 14:00:00.5'", "2026-11-22 14:00:00.5"),
        ("from_hex('ff00')", "\\xFF\\x00"),
        ("'größe 雪'", "größe 雪"),
    ],
)
def test_a_value_is_written_as_json_has_it(value: str, expected: object):
    assert json.loads(json_line(written("json", value))) == [expected]


def test_csv_tells_an_empty_text_from_an_absent_one():
    line = written("csv", "1", "NULL", "''", "'a,\"b\"' || chr(10) || 'c'", "'plain'")

    assert line == '1,,"","a,""b""\nc",plain'
    assert next(csv.reader(io.StringIO(line))) == ["1", "", "", 'a,"b"\nc', "plain"]


def test_text_is_what_duckdb_writes_for_each_value():
    assert json.loads(written("text", "[1, 2]", "NULL", "1.50::DECIMAL(5,2)")) == ["[1, 2]", None, "1.50"]
