from __future__ import annotations

import msgspec
import pytest

from analytics.warehouse.described import DATASETS, FORMS, as_text, described, written_as


@pytest.mark.parametrize("form", FORMS)
def test_every_column_is_described_with_type_unit_and_meaning(form):
    found = described(list(DATASETS), form)

    columns = {dataset.name: {column.name: column for column in dataset.columns} for dataset in found.datasets}
    assert {name: list(known) for name, known in columns.items()} == {name: list(of) for name, of in DATASETS.items()}
    assert columns["requests"]["latency_ms"].unit == "milliseconds"
    assert columns["requests"]["request_id"].type == "VARCHAR"
    assert columns["requests"]["feedback_rating"].type == "TINYINT"
    assert all(column.meaning for known in columns.values() for column in known.values())
    assert msgspec.json.decode(msgspec.json.encode(found))["turnout_export"] == 1


def test_people_read_the_same_in_a_table():
    text = as_text(described(["requests"], "csv"))

    assert "| `cost_usd` | `DOUBLE` | number | US dollars | what the answer cost, USD; NULL when unknown |" in text
    assert "an empty cell" in text


@pytest.mark.parametrize(
    ("name", "kind", "form", "sql"),
    [
        ("request_id", "UUID", "parquet", "request_id::VARCHAR"),
        ("user_hash", "BLOB", "parquet", "lower(hex(user_hash))"),
        ("body", "BLOB", "parquet", "body"),
        ("body", "BLOB", "csv", "to_base64(body)"),
        ("tags", "MAP(VARCHAR, VARCHAR)", "csv", "to_json(tags)::VARCHAR"),
        ("tags", "MAP(VARCHAR, VARCHAR)", "jsonl", "tags"),
        ("started_at", "TIMESTAMP", "parquet", "started_at"),
        ("started_at", "TIMESTAMP", "jsonl", "strftime(started_at, '%Y-%m-%dT%H:%M:%S.%fZ')"),
    ],
)
def test_a_value_is_written_so_that_any_reader_of_the_form_knows_it(name, kind, form, sql):
    assert written_as(name, kind, form) == sql
