from __future__ import annotations

from analytics.parts import places


def test_the_weightiest_part_comes_first_with_all_its_weights():
    weighed = [("a", 1.0), (None, 5.0), ("b", 3.0), ("a", 3.0), ("c", 4.0)]

    assert list(places(weighed, "application")) == [None, "a", "c", "b"]
    assert places(weighed, "tag:team")["b"] == 3


def test_days_and_steps_stand_in_their_own_order():
    assert list(places([("10", 9.0), (None, 9.0), ("9", 1.0)], "step")) == ["9", "10", None]
    assert list(places([("2026-09-30", 1.0), ("2026-09-04", 0.0)], "day")) == ["2026-09-04", "2026-09-30"]
