from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest

from analytics.warehouse.again import executed


class Exchanging:
    """A connection under whose first questions files are exchanged."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, times: int) -> None:
        self._connection, self.left = connection, times

    def execute(self, statement: str, parameters: dict[str, object]) -> duckdb.DuckDBPyConnection:
        self.left -= 1
        if self.left >= 0:
            message = "Prefetch registered for bytes outside file"
            raise duckdb.Error(message)
        return self._connection.execute(statement, parameters)


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def test_what_failed_a_few_times_is_answered(connection: duckdb.DuckDBPyConnection) -> None:
    exchanging = Exchanging(connection, 2)

    answer = executed(cast("Any", exchanging), "SELECT $a", {"a": 42}).fetchall()
    assert (answer, exchanging.left) == ([(42,)], -1)


def test_what_fails_for_good_is_raised(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(duckdb.IOException, match="none"):
        executed(connection, f"FROM '{tmp_path}/none.parquet'")


def test_a_question_that_is_wrong_is_not_asked_again(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.ParserException):
        executed(connection, "SELECT FROM")
