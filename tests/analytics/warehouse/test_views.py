"""What a question makes of views, and that what it does not read costs it nothing."""

from __future__ import annotations

from analytics.lake.directory import Directory
from analytics.warehouse.database import Warehouse
from analytics.warehouse.views import ALL, DERIVED, text_of
from tests.fakes.handmade_lake import HandmadeLake, record

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
    with Warehouse(Directory(lake.root)).look() as seen:
        before = seen.connection.execute("SELECT count(*) FROM requests").fetchone()
        seen.ask("daily")
        after = seen.connection.execute("SELECT count(*), (SELECT sum(requests) FROM hourly) FROM requests").fetchone()

    assert (before, after) == ((2,), (2, 2))


def test_remarks_are_no_part_of_a_question() -> None:
    assert not [name for name in DERIVED.values() if "--" in text_of(name)]
