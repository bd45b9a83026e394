from __future__ import annotations

from pathlib import Path

import pytest

from analytics.telemetry.tick import TICK_FILE, tick_family
from rollout.notify.heartbeat import HEARTBEAT_FILE, write_sign


def test_the_controllers_sign_of_life_is_a_measure(tmp_path: Path) -> None:
    write_sign(tmp_path / HEARTBEAT_FILE, "1700000000500000")

    assert tick_family(tmp_path).points == [((), 1_700_000_000.5)]


@pytest.mark.parametrize("sign", [None, "", "soon", "12\u00b2"])
def test_without_a_sign_of_life_there_is_no_measure(tmp_path: Path, sign: str | None) -> None:
    if sign is not None:
        (tmp_path / TICK_FILE).write_text(sign)

    assert tick_family(tmp_path).points == []
