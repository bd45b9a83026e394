from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec.structs import replace

from analytics.forecast import week_of
from analytics.quantile import GRID
from analytics.warehouse.weeks import Asked
from tests.fakes import plain_evidence as plain
from tests.fakes.gate_rows import WINDOW, drawn, gate_row, said_of

DAY_US = 86_400_000_000
FIRST_DAY = WINDOW.started_at // DAY_US + 1
ASKED = Asked(rollout="chat", generation=2, before=(FIRST_DAY + 4) * DAY_US + 7, latencies={"p50": 100.0, "p99": 900.0})


def rows(count: int) -> tuple[list[Any], list[Any]]:
    chance = random.Random(9)
    drawn_rows = [gate_row(0), *(drawn(chance, number) for number in range(1, count))]
    records = [
        replace(one, started_at=FIRST_DAY * DAY_US - 5 + number * 4 * DAY_US // count, step=3, percent=10.0)
        for number, one in enumerate(drawn_rows)
    ]
    return records, [said_of(chance, number, chance.choice(records)) for number in range(1, count // 2)]


def test_a_week_is_what_plain_python_makes_of_bases_rows(lake, opening):
    records, pieces = rows(500)
    lake.put([replace(one, step=1 + one.seq % 3, percent=5.0) for one in records])
    lake.put_feedback(pieces)
    counted = [one for one in records if one.started_at >= FIRST_DAY * DAY_US]
    found = opening().weeks(ASKED)
    window = replace(WINDOW, thresholds={"p50": (100.0, 100.0), "p99": (900.0, 900.0)})
    users = {(one.arm_assigned, one.user_hash) for one in plain.gate_rows(counted, window)}
    share = sum(arm == "base" for arm, _ in users) / len(users)

    assert set(found) == {"errors", "p50", "p99", "satisfaction"}
    for check, week in found.items():
        days = [
            plain.check_sums(
                [one for one in counted if one.started_at // DAY_US == FIRST_DAY + day], pieces, window, check
            )
            for day in range(4)
        ]
        wanted = week_of(
            plain.check_sums(counted, pieces, window, check).base, [day.base for day in days], base_share=share
        )
        assert wanted is not None
        for name in ("rate", "requests_per_day", "users_day", "users", "variance_day", "variance", "days"):
            assert getattr(week, name) == pytest.approx(getattr(wanted, name)), (check, name)
    assert list(found["p50"].slower) == pytest.approx(list(GRID))
    assert found["p50"].slower[1.0] == pytest.approx(found["p50"].rate)
    for factor in (2 ** (1 / 20), 2 ** (4 / 20), 2.0, 0.5):
        there = plain.check_sums(
            counted, pieces, replace(window, thresholds={"p50": (100.0, 100.0 * factor), "p99": (1.0, 1.0)}), "p50"
        ).base.y
        assert there is not None
        if factor >= 1:
            assert found["p50"].slower[factor] == pytest.approx(there.x / there.n)


def test_without_a_whole_day_of_base_nothing_is_foreseen(lake, opening):
    assert opening().weeks(ASKED) == {}
    records, _ = rows(50)
    lake.put(records)

    assert opening("other.duckdb").weeks(replace(ASKED, before=(FIRST_DAY + 1) * DAY_US - 1)) == {}
    assert opening("third.duckdb").weeks(replace(ASKED, before=FIRST_DAY * DAY_US)) == {}
