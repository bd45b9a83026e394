"""What users say of both arms: known answers, and each number computed once more in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from analytics.lake.directory import Directory
from analytics.narrowing import Narrowing
from analytics.warehouse.database import Warehouse
from analytics.warehouse.satisfaction import satisfaction, satisfaction_by
from tests.fakes.handmade_lake import HandmadeLake
from tests.fakes.recomputation import recompute_satisfaction, same
from tests.fakes.varied_lake import NAME, fill_varied, said, split

MEANT = Narrowing(rollout=NAME, generation=1)


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, list[Any], list[Any]]]:
    lake = HandmadeLake(tmp_path_factory.mktemp("varied") / "lake")
    rows, feedback = fill_varied(lake, 3)
    made = Warehouse(Directory(lake.root))
    yield made, rows, feedback
    made.close()


def test_the_newest_of_each_kind_counts_and_a_signal_is_no_rating(warehouse: Warehouse, lake: HandmadeLake):
    one, two, three, four = requests = [split(number, "base") for number in range(1, 5)]
    failed = split(9, "base", outcome="timeout")
    lake.put([*requests, failed])
    lake.put_feedback([said(1, one, thumb="down"), said(2, one, 5.0, thumb="up"), said(3, one, signal="copied")])
    lake.put_feedback([said(4, two, rating=2), said(5, three, rating=5), said(6, three, signal="edited")])
    lake.put_feedback([said(7, three, 3.0, signal="edited"), said(8, four, signal="regenerated")])
    lake.put_feedback([said(9, failed, thumb="down"), said(10, failed, signal="copied")])
    found = satisfaction(warehouse, MEANT, as_of=7).base

    assert (found.requests, found.answers, found.users, found.levels) == (5, 4, 5, {2: 1, 5: 1})
    assert (found.satisfaction.value, found.satisfaction.of) == (0.5, 4)
    assert (found.thumbs_up.value, found.thumbs_up.of, found.stars.value) == (0.5, 2, 3.5)
    assert (found.response_rate.value, found.response_rate.of) == (0.75, 4)
    assert (found.copied.value, found.edited.value, found.regenerated.value) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("facts", [{"application": "other"}, {"after_s": 48 * 3600 + 1}])
def test_foreign_and_late_feedback_counts_nowhere(warehouse: Warehouse, lake: HandmadeLake, facts: dict[str, Any]):
    one = split(1, "candidate")
    lake.put([one])
    lake.put_feedback([said(1, one, **facts, thumb="up"), said(2, one, **facts, signal="copied")])
    found = satisfaction(warehouse, MEANT, as_of=7).candidate

    assert (found.satisfaction.value, found.response_rate.value, found.copied.value) == (None, 0.0, 0.0)


def test_an_empty_lake_has_no_figures(warehouse: Warehouse):
    found = satisfaction(warehouse, MEANT, as_of=7)

    assert (found.base.requests, found.base.response_rate.value, found.first_at) == (0, None, None)
    assert satisfaction_by(warehouse, MEANT, "day", as_of=7) == []


def test_plain_python_comes_to_the_same_numbers(varied: tuple[Warehouse, list[Any], list[Any]]):
    warehouse, rows, feedback = varied
    found = satisfaction(warehouse, MEANT, as_of=7)

    assert min(found.base.stars.of, found.candidate.copied.of) > 50
    assert found.difference["satisfaction"].low is not None
    assert not list(same(msgspec.to_builtins(found), recompute_satisfaction(rows, feedback, NAME)))


PARTS: dict[str, Callable[[Any], Any]] = {
    "day": lambda row: f"{row['started_at']:%Y-%m-%d}",
    "application": lambda row: row["application"],
    "tag:note": lambda row: row["tags"].get("note"),
}


@pytest.mark.parametrize("by", PARTS)
def test_divided_it_is_the_same_for_each_part(varied: tuple[Warehouse, list[Any], list[Any]], by: str):
    warehouse, rows, feedback = varied
    found = satisfaction_by(warehouse, MEANT, by, as_of=7)

    assert sum(one.base.answers for one in found) == satisfaction(warehouse, MEANT, as_of=7).base.answers
    for one in found:
        keep = [row for row in rows if PARTS[by](row) == one.part]
        expected = recompute_satisfaction(rows, feedback, NAME, lambda row, keep=keep: row in keep)
        assert not list(same(msgspec.to_builtins(one), expected))
