from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from analytics.lake.directory import Directory
from analytics.warehouse.database import Warehouse
from tests.fakes.handmade_lake import HandmadeLake


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    return HandmadeLake(tmp_path / "lake")


@pytest.fixture
def warehouse(lake: HandmadeLake) -> Iterator[Warehouse]:
    made = Warehouse(Directory(lake.root))
    yield made
    made.close()
