from __future__ import annotations

import re
from pathlib import Path

import pytest

from analytics.lake.columns import COLUMNS, quoted
from analytics.record import Attempt, Record

DOCUMENT = Path(__file__).parents[3] / "docs" / "lake.md"


def test_every_field_of_a_record_is_a_column_and_so_are_worker_and_boot() -> None:
    assert list(COLUMNS) == ["worker", "boot", *Record.__struct_fields__]


def test_every_field_of_an_attempt_is_in_the_columns_type() -> None:
    assert re.findall(r"[(,] ?(\w+) ", COLUMNS["attempts"]) == list(Attempt.__struct_fields__)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [(r".*_ms", "DOUBLE"), (r".*_usd", "DOUBLE"), (r".*_tokens", "INTEGER"), (r".*_at", "TIMESTAMP")],
)
def test_a_unit_in_a_name_decides_the_type(pattern: str, kind: str) -> None:
    kinds = {COLUMNS[name] for name in COLUMNS if re.fullmatch(pattern, name)}

    assert kinds == {kind}


def test_the_documentation_lists_every_column_with_its_type_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", DOCUMENT.read_text(), flags=re.MULTILINE)

    assert dict(rows) == COLUMNS
    assert [name for name, _ in rows] == list(COLUMNS)


def test_a_quote_in_a_literal_cannot_end_it() -> None:
    assert quoted("it's") == "'it''s'"
