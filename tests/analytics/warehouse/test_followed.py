from __future__ import annotations

from msgspec.structs import replace

from tests.fakes.gate_rows import WINDOW, gate_row


def test_the_steps_of_a_rollout_that_are_long_over_are_forgotten(lake, opening):
    lake.put([gate_row(number, step=number) for number in range(1, 6)])
    evidence = opening()
    windows = [replace(WINDOW, step=number) for number in range(1, 6)]

    assert [evidence.look(window).quality.base_rows for window in windows] == [1, 1, 1, 1, 1]
    assert evidence.steps == [("chat", 2, 3), ("chat", 2, 4), ("chat", 2, 5)]


def test_a_step_is_followed_once_whatever_its_window(lake, opening):
    evidence = opening()
    for percent in (10.0, 12.345, 10.0):
        evidence.look(replace(WINDOW, percent=percent))
    evidence.look(replace(WINDOW, rollout="other"))

    assert evidence.steps == [("chat", 2, 3), ("other", 2, 3)]
