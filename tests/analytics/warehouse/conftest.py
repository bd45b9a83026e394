from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analytics.lake.directory import Directory
from analytics.warehouse.database import Warehouse
from analytics.warehouse.evidence import Evidence
from tests.fakes.gate_rows import NOW
from tests.fakes.handmade_lake import HandmadeLake


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    return HandmadeLake(tmp_path / "lake")


@pytest.fixture
def warehouse(lake: HandmadeLake) -> Iterator[Warehouse]:
    made = Warehouse(Directory(lake.root))
    yield made
    made.close()


@pytest.fixture
def opening(tmp_path: Path, lake: HandmadeLake) -> Iterator[Callable[..., Evidence]]:
    made: list[Evidence] = []
    minutes = itertools.count()

    def opened(name: str = "evidence.duckdb", clock: Callable[[], int] | None = None) -> Evidence:
        """Open the evidence, with a clock that goes on for minutes whenever it is looked at."""
        made.append(Evidence(tmp_path / name, Directory(lake.root), clock=clock or jumping))
        return made[-1]

    def jumping() -> int:
        return NOW + next(minutes) * 120_000_000

    yield opened
    for one in made:
        one.close()
