"""What a question makes of views, and that what it does not read costs it nothing."""

from __future__ import annotations

import re

import msgspec

from analytics.comparison import Comparison
from analytics.lake.directory import Directory
from analytics.narrowing import Narrowing, sql_struct
from analytics.warehouse.database import Look, Warehouse
from analytics.warehouse.reports import compare
from analytics.warehouse.views import ALL, DERIVED, text_of
from tests.fakes.handmade_lake import AT_US, LATER_US, HandmadeLake, record
from tests.fakes.varied_lake import NAME, fill_varied

_MADE = "SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal"


def made(warehouse: Warehouse, *questions: str) -> set[str]:
    """Return the derived views that there are after some questions in one look."""
    with warehouse.look() as seen:
        for question in questions:
            seen.ask(question)
        return {name for (name,) in seen.connection.execute(_MADE).fetchall()} & set(ALL)


def test_only_the_views_that_a_question_reads_are_made_and_each_once(lake: HandmadeLake) -> None:
    lake.put([record(1)])
    warehouse = Warehouse(Directory(lake.root))

    assert made(warehouse) == set()
    assert made(warehouse, "feedback_counts") >= {"judged"}
    assert made(warehouse, "feedback_counts", "feedback_counts") == made(warehouse, "feedback_counts")
    assert "hourly" not in made(warehouse, "feedback_counts")


def test_sums_are_made_when_they_are_asked_for_after_rows_were(lake: HandmadeLake) -> None:
    lake.put([record(1), record(2)])
    with Warehouse(Directory(lake.root)).look(["requests"]) as seen:
        before = seen.connection.execute("SELECT count(*) FROM requests").fetchone()
        seen.ask("daily")
        after = seen.connection.execute("SELECT count(*), (SELECT sum(requests) FROM hourly) FROM requests").fetchone()

    assert (before, after) == ((2,), (2, 2))


def rounded(found: Comparison) -> str:
    """Return a comparison without the last digits, which the order of a sum decides."""
    return re.sub(r"\d+\.\d+(e-?\d+)?", lambda each: f"{float(each[0]):.9g}", msgspec.json.encode(found).decode())


def spanned(seen: Look) -> int:
    """Return how many compacted files the macros read from."""
    found = seen.connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'spanned'").fetchone()
    assert found is not None
    return found[0].count("/requests/date=")


def test_a_question_about_some_hours_reads_no_file_of_other_days_and_finds_the_same(
    lake: HandmadeLake, warehouse: Warehouse
) -> None:
    fill_varied(lake, 3, 400)
    day = AT_US + 86_400_000_000
    spans = [(None, None), (day, day + 7_200_000_000), (None, day), (day, None), (AT_US - 9, AT_US)]
    asked = [Narrowing(since=since, until=until) for since, until in spans]
    loose = [rounded(compare(warehouse, NAME, 1, as_of=7, to=to)) for to in asked]
    lake.compact(LATER_US + 86_400_000_000)

    assert [rounded(compare(warehouse, NAME, 1, as_of=7, to=to)) for to in asked] == loose
    assert len(set(loose)) == len(spans)
    with warehouse.look() as seen:
        read = [seen.ask("how_many", {"asked": sql_struct(to)}) and spanned(seen) for to in asked]
    assert read == [4, 1, 2, 3, 0]


def test_remarks_are_no_part_of_a_question() -> None:
    assert not [name for name in DERIVED.values() if "--" in text_of(name)]
