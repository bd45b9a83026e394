from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from analytics.warehouse.drifting import Drifting
from tests.fakes import plain_evidence as plain
from tests.fakes.gate_rows import NOW, WINDOW, drawn, gate_row, said_of

DAILY = replace(WINDOW, day_s=86_400.0 / 3)


def test_the_monitor_finds_the_worst_midnight_that_plain_python_finds(lake, opening):
    chance = random.Random(2)
    records = [drawn(chance, number) for number in range(1, 250)]
    pieces = [said_of(chance, number, chance.choice(records)) for number in range(1, 200)]
    lake.put(records)
    lake.put_feedback(pieces)
    evidence = opening(clock=lambda: NOW)
    evidence.look(DAILY)
    found = Drifting(evidence.connection, lambda: 0.0).drift(DAILY, 1, NOW)

    assert found == {check: pytest.approx(plain.drift(records, pieces, DAILY, check, NOW)) for check in found}
    assert len(found) == 5


def test_a_first_day_and_a_single_arm_tell_of_no_drift(lake, opening):
    lake.put([gate_row(number) for number in range(5)])
    clock = [gate_row(60).started_at]
    evidence = opening(clock=lambda: clock[0])

    assert set(evidence.look(WINDOW).drift.values()) == {None}
    clock[0] = NOW
    assert set(evidence.look(WINDOW).drift.values()) == {None}
