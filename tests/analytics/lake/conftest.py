from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.lake.shipper import Shipper


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def shipper(state: Path, clock: Clock) -> Iterator[Shipper]:
    made = Shipper(state / "journal", state / "lake", lambda: 1_790_000_000_000_000, monotonic=clock)
    yield made
    made.close()


@pytest.fixture
def ask(state: Path) -> Callable[[str], list[Any]]:
    """Put a question to the records of the lake, as anybody with DuckDB can."""

    def answer(question: str) -> list[Any]:
        with duckdb.connect(":memory:") as connection:
            files = [str(path) for path in (state / "lake" / "incoming").glob("*.parquet")]
            if not files:
                return []
            connection.read_parquet(files).create_view("records")
            return connection.execute(question).fetchall()

    return answer
