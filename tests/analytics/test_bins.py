from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise

import duckdb
import pytest

from analytics.bins import BINS, LOWEST_MS, PER_OCTAVE, octaves_s, upper_ms
from analytics.lake.rollup import prepare
from analytics.telemetry.names import SECONDS

UPPER_MS = [upper_ms(number) for number in range(1, BINS + 1)]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as made:
        prepare(made)
        yield made


def one(connection: duckdb.DuckDBPyConnection, query: str, *values: object) -> object:
    [(found,)] = connection.execute(query, list(values)).fetchall()
    return found


def drawn(seed: int, count: int) -> list[float]:
    chance = random.Random(seed)
    return [chance.lognormvariate(5.5, 1.5) for _ in range(count)]


def test_every_bound_of_a_histogram_of_metrics_is_one_of_the_bins() -> None:
    assert octaves_s(0.01, 14) == SECONDS
    assert {bound * 1000 for bound in SECONDS} <= set(UPPER_MS)
    assert UPPER_MS[-2:] == [655_360.0, math.inf]
    steps = [after / before for before, after in pairwise(UPPER_MS[:-1])]
    assert steps == pytest.approx([2 ** (1 / PER_OCTAVE)] * len(steps))


def test_duckdb_puts_a_duration_where_the_bounds_say(connection: duckdb.DuckDBPyConnection) -> None:
    exact = [LOWEST_MS * 2**power for power in range(21)]
    strange = [0.0, -1.0, LOWEST_MS / 2, 655_360.1, 1e12, math.inf]
    for ms in [*exact, *strange, *drawn(1, 300)]:
        assert one(connection, "SELECT bin_of(?::DOUBLE)", ms) == bisect_left(UPPER_MS, ms) + 1
    assert one(connection, "SELECT bin_of(NULL)") is None
    assert one(connection, "SELECT bin_of('nan'::DOUBLE)") == BINS


@pytest.mark.parametrize("q", [0.0, 0.01, 0.5, 0.9, 0.99, 1.0])
def test_a_quantile_of_bins_added_up_over_rows_is_within_nine_percent(
    connection: duckdb.DuckDBPyConnection, q: float
) -> None:
    known = drawn(2, 4000)
    connection.execute("CREATE OR REPLACE TEMP TABLE drawn AS SELECT unnest(?::DOUBLE[]) AS ms", [known])
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE summed AS SELECT floor(ms) % 7 AS part, bins_of(histogram(bin_of(ms))) AS bins "
        "FROM drawn GROUP BY part"
    )
    found = one(connection, f"SELECT quantile_ms(bins, {q}) FROM summed")
    true = sorted(known)[max(math.ceil(q * len(known)), 1) - 1]

    assert isinstance(found, float)
    assert abs(found / true - 1) < 2 ** (1 / PER_OCTAVE) - 1 + 1e-9


def test_bins_that_counted_nothing_have_no_quantile(connection: duckdb.DuckDBPyConnection) -> None:
    assert one(connection, "SELECT quantile_ms(bins, 0.5) FROM (SELECT NULL::INTEGER[] AS bins)") is None
    assert one(connection, "SELECT quantile_ms(bins, 0.5) FROM (SELECT NULL::INTEGER[] AS bins LIMIT 0)") is None
    assert one(connection, f"SELECT quantile_of([0 FOR _ IN range({BINS})], 0.5)") is None


def test_what_is_longer_than_any_bin_is_told_as_the_longest_bound(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT quantile_of(bins_of(histogram(bin_of(ms))), 0.99) FROM (VALUES (1e9)) AS t(ms)"

    assert one(connection, query) == 655_360.0
