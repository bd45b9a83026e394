from __future__ import annotations

import re
from pathlib import Path

import pytest

from analytics.content import Content
from analytics.feedback import Feedback
from analytics.lake.columns import COLUMNS, CONTENT_COLUMNS, FEEDBACK_COLUMNS, quoted
from analytics.record import Attempt, Record

DOCUMENT = Path(__file__).parents[3] / "docs" / "lake.md"


def test_every_field_of_a_frame_is_a_column_and_so_are_worker_and_boot() -> None:
    assert list(COLUMNS) == ["worker", "boot", *Record.__struct_fields__]
    assert list(CONTENT_COLUMNS) == ["worker", "boot", *Content.__struct_fields__]
    assert list(FEEDBACK_COLUMNS) == ["worker", "boot", *Feedback.__struct_fields__]


def test_every_field_of_an_attempt_is_in_the_columns_type() -> None:
    assert re.findall(r"[(,] ?(\w+) ", COLUMNS["attempts"]) == list(Attempt.__struct_fields__)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [(r".*_ms", "DOUBLE"), (r".*_usd", "DOUBLE"), (r".*_tokens", "INTEGER"), (r".*_at", "TIMESTAMP")],
)
def test_a_unit_in_a_name_decides_the_type(pattern: str, kind: str) -> None:
    every = [*COLUMNS.items(), *FEEDBACK_COLUMNS.items(), *CONTENT_COLUMNS.items()]
    kinds = {kind for name, kind in every if re.fullmatch(pattern, name)}

    assert kinds == {kind}


@pytest.mark.parametrize(
    ("dataset", "columns"), [("requests", COLUMNS), ("feedback", FEEDBACK_COLUMNS), ("content", CONTENT_COLUMNS)]
)
def test_the_documentation_lists_every_column_with_its_type_in_order(dataset: str, columns: dict[str, str]) -> None:
    part = DOCUMENT.read_text().split(f"## Columns of {dataset}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", part, flags=re.MULTILINE)

    assert dict(rows) == columns
    assert [name for name, _ in rows] == list(columns)


def test_a_quote_in_a_literal_cannot_end_it() -> None:
    assert quoted("it's") == "'it''s'"
