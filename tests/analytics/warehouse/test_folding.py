from __future__ import annotations

import random

from msgspec.structs import replace

from tests.fakes import plain_evidence as plain
from tests.fakes.gate_rows import WINDOW, drawn, gate_row
from tests.fakes.handmade_lake import AT_US


def test_rows_with_another_percent_are_counted_from_five_minutes_after_the_start_on(lake, opening):
    others = [gate_row(number, percent=5.0, step=2) for number in (10, 299, 300, 400)]
    lake.put([*others, gate_row(20), gate_row(500), gate_row(501, step=4, percent=25.0)])
    lake.put([gate_row(502, percent=5.0, reason="targeting_match"), gate_row(503, percent=5.0, purpose="shadow")])
    evidence = opening()
    found = evidence.look(WINDOW).quality
    lake.put([gate_row(600, percent=5.0), gate_row(601)])
    evidence.fold()
    later = evidence.look(WINDOW).quality

    assert (found.mixed_rows, found.settled_rows) == (2, 3)
    assert (later.mixed_rows, later.settled_rows) == (3, 5)


def test_days_of_the_step_are_what_users_gained_in_them(lake, opening):
    chance = random.Random(3)
    records = [drawn(chance, number) for number in range(1, 200)]
    window = replace(WINDOW, day_s=3600.0)
    evidence = opening()
    evidence.look(window)
    for at in range(0, 200, 40):
        lake.put(records[at : at + 40])
        evidence.fold()
    rows = evidence.connection.execute(
        "SELECT day, sum(gate_n), sum(errors_x) FROM evidence_user_day GROUP BY day ORDER BY day"
    ).fetchall()

    gate = plain.gate_rows(records, window)
    failed = [plain.facts(one, "errors", window, None) or (0, 0, 0) for one in gate]
    days = sorted({one.started_at // 3_600_000_000 for one in gate})
    assert rows == [
        (
            day,
            sum(one.started_at // 3_600_000_000 == day for one in gate),
            sum(found[0] for one, found in zip(gate, failed, strict=True) if one.started_at // 3_600_000_000 == day),
        )
        for day in days
    ]
    assert days[0] >= AT_US // 3_600_000_000
