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
    drifting = Drifting(evidence.connection, lambda: 0.0)
    early = drifting.drift(DAILY, 1)
    drifting.go_on(NOW, [1])
    found = drifting.drift(DAILY, 1)

    assert found == {check: pytest.approx(plain.drift(records, pieces, DAILY, check, NOW)) for check in found}
    assert early == dict.fromkeys(found)
    assert len(found) == 5


def test_a_first_day_and_a_single_arm_tell_of_no_drift(lake, opening):
    lake.put([gate_row(number) for number in range(5)])
    clock = [gate_row(60).started_at]
    evidence = opening(clock=lambda: clock[0])

    assert set(evidence.look(WINDOW).drift.values()) == {None}
    clock[0] = NOW
    evidence.fold()
    assert set(evidence.look(WINDOW).drift.values()) == {None}


def test_answers_come_with_the_folds_and_are_asked_for_again_as_the_day_goes_on(lake, opening):
    chance = random.Random(4)
    lake.put([drawn(chance, number) for number in range(1, 150)])
    clock = [NOW]
    evidence = opening(clock=lambda: clock[0])
    assert set(evidence.look(WINDOW).drift.values()) == {None}
    for _ in range(30):
        evidence.fold()
    before = evidence.look(WINDOW).drift
    lake.put([gate_row(200_000 + n, outcome="timeout", arm_assigned="candidate") for n in range(40)])
    evidence.fold()
    soon = evidence.look(WINDOW).drift
    clock[0] += 6 * 3_600_000_000
    for _ in range(30):
        evidence.fold()

    assert None not in {before["errors"], before["p99"]}
    assert soon == before
    assert evidence.look(WINDOW).drift["errors"] != before["errors"]
