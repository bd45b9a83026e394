from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from analytics.lake.place import Place
from gateway.console.gathering import Gathering
from gateway.console.measuring import UNKNOWN, EvidenceLostError
from tests.fakes.gate_rows import NOW, WINDOW


@pytest.fixture
def gathering(tmp_path: Path) -> Iterator[Gathering]:
    made = Gathering(Place(url=str(tmp_path / "lake")), tmp_path / "state" / "evidence.duckdb", clock=lambda: NOW)
    yield made
    made.close()


def test_an_empty_lake_says_nothing_of_a_step_and_nothing_of_the_week_before(gathering: Gathering, tmp_path: Path):
    assert not (tmp_path / "state").exists()
    gathering.fold()

    assert gathering.look(WINDOW).step == WINDOW.step
    assert sum(one.candidate for one in gathering.failing(WINDOW)) == 0
    assert gathering.references("chat", 2, NOW).latencies == UNKNOWN.latencies
    assert gathering.own_references(WINDOW) == {}
    assert gathering.weeks("chat", 2, NOW) == {}


def test_what_refuses_is_said_and_asked_again_from_the_start(gathering: Gathering, tmp_path: Path):
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(EvidenceLostError, match="state"):
        gathering.fold()

    (tmp_path / "state").unlink()
    gathering.fold()
