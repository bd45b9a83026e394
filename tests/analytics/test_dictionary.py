from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from analytics.dictionary import CONTENT, FEEDBACK, REQUESTS, unit_of
from analytics.lake.columns import COLUMNS, CONTENT_COLUMNS, FEEDBACK_COLUMNS

DOCUMENT = Path(__file__).parents[2] / "docs" / "lake.md"
ROW = re.compile(r"^\| `(\w+)` \| `[^`]+` \| (.*) \|$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


@pytest.mark.parametrize(
    ("words", "columns"), [(REQUESTS, COLUMNS), (FEEDBACK, FEEDBACK_COLUMNS), (CONTENT, CONTENT_COLUMNS)]
)
def test_every_column_of_the_lake_has_its_words(words: Mapping[str, str], columns: Mapping[str, str]):
    assert list(words) == list(columns)


@pytest.mark.parametrize(("name", "words"), [("requests", REQUESTS), ("feedback", FEEDBACK), ("content", CONTENT)])
def test_the_documentation_says_the_same_words(name: str, words: Mapping[str, str]):
    part = DOCUMENT.read_text().split(f"## Columns of {name}\n")[1].split("\n## ")[0]

    assert {column: LINK.sub(r"\1", said) for column, said in ROW.findall(part)} == words


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("latency_ms", "milliseconds"),
        ("cost_usd", "US dollars"),
        ("size_bytes", "bytes"),
        ("started_at", "UTC, microseconds"),
        ("input_tokens", "tokens"),
        ("percent", "percent, 0 to 100"),
        ("rollout", None),
    ],
)
def test_a_columns_name_tells_its_unit(name: str, unit: str | None):
    assert unit_of(name) == unit
