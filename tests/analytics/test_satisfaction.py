from __future__ import annotations

from typing import Any

import pytest

from analytics.satisfaction import RATIOS, arm_satisfaction, differences


def row(**sums: tuple[int, float, float, float, float, float]) -> dict[str, Any]:
    """Return one arm's row of the question, with sums for some figures and nothing for the others."""
    names = ("users", "n", "x", "xx", "xn", "nn")
    found = [{"name": name, **dict(zip(names, parts, strict=True))} for name, parts in sums.items()]
    return {"requests": 90, "users": 40, "answers": 80, "levels": None, "sums": found or None}


def test_nothing_said_is_none_and_never_zero():
    found = arm_satisfaction(row())

    assert [getattr(found, name).value for name in RATIOS] == [None] * len(RATIOS)
    assert found.levels == {}
    assert all(one.value is None for one in differences(row(), row()).values())


def test_a_share_stays_within_1_and_stars_do_not():
    found = arm_satisfaction(
        row(satisfaction=(40, 40.0, 39.0, 39.0, 39.0, 40.0), stars=(40, 40.0, 180.0, 820.0, 180.0, 40.0))
    )

    assert found.satisfaction.high == 1.0
    assert found.stars.value == 4.5
    assert found.stars.high is not None
    assert found.stars.high > 4.5


def test_a_difference_is_candidate_minus_base():
    base, candidate = row(copied=(40, 80.0, 20.0, 30.0, 40.0, 160.0)), row(copied=(40, 80.0, 40.0, 60.0, 80.0, 160.0))

    assert differences(base, candidate)["copied"].value == pytest.approx(0.25)
    assert differences(base, candidate)["copied"].ratio == pytest.approx(2.0)
