from __future__ import annotations

from pathlib import Path

import pytest

from gateway.console.driving import Driving
from tests.fakes.measured import staged


@pytest.mark.parametrize("may", [True, False])
def test_every_pulse_is_a_sign_of_life_also_where_another_console_decides(tmp_path: Path, *, may: bool):
    beats: list[int] = []
    with staged(tmp_path) as stage:
        driving = Driving(
            stage.deciding,
            stage.ledger,
            stage.heard,
            may=lambda: may,
            monotonic_s=lambda: stage.clocks.monotonic_s,
            wall_us=lambda: stage.clocks.wall_us,
        )
        driving.beat = lambda: beats.append(1)
        driving.decide()
        driving.decide()

    assert beats == [1, 1]
