from __future__ import annotations

from datetime import datetime

import pytest

from analytics.narrowing import (
    BY,
    EVERYTHING,
    BadNarrowingError,
    Narrowing,
    divided,
    micros_of,
    moment_of,
    split_tag,
    sql_struct,
)


def test_what_is_not_asked_for_does_not_narrow_and_only_live_traffic_is_meant():
    asked = sql_struct(EVERYTHING)

    assert (asked.pop("purpose"), asked.pop("forced")) == ("live", False)
    assert set(asked.values()) == {None}


def test_a_narrowing_is_what_sql_is_asked():
    to = Narrowing(step=2, tags=("team=red", "note=a=b"), since=1_000_000, purpose="eval")
    asked = sql_struct(to, "tag:team")

    assert asked["tags"] == [{"name": "team", "value": "red"}, {"name": "note", "value": "a=b"}]
    assert (asked["step"], asked["purpose"], asked["by"], asked["by_tag"]) == (2, "eval", "tag", "team")
    assert asked["since"] == datetime(1970, 1, 1, 0, 0, 1)  # noqa: DTZ001 - as the lake has times


@pytest.mark.parametrize("text", ["", "team", "=red"])
def test_what_is_no_tag_is_said(text: str):
    with pytest.raises(BadNarrowingError, match="is no tag; write name=value") as refused:
        split_tag(text)

    assert refused.value.place == "tag"


def test_a_tag_may_be_empty():
    assert split_tag("team=") == ("team", "")


@pytest.mark.parametrize("by", [None, *BY])
def test_what_a_report_is_divided_by(by: str | None):
    assert divided(by) == (by, None)


@pytest.mark.parametrize("by", ["", "week", "tag:", "tag", "Day"])
def test_a_report_is_not_divided_by_anything_else(by: str):
    with pytest.raises(BadNarrowingError, match=r"there are: day, hour, .*tag:NAME") as refused:
        divided(by)

    assert refused.value.place == "by"


def test_times_go_to_the_lake_and_back():
    assert moment_of(None) is None
    assert micros_of(moment_of(1_790_000_000_123_456) or datetime.min) == 1_790_000_000_123_456  # noqa: DTZ901 - see above
