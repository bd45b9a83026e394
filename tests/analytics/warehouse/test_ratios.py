from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from analytics.evidence import Check
from analytics.figures import ClusterSums
from analytics.lake.directory import Directory
from analytics.quantile import GRID, latency_ratio
from analytics.warehouse.ratios import slower
from tests.fakes import plain_evidence as plain
from tests.fakes.gate_rows import WINDOW, drawn, gate_row


def test_how_many_are_slower_by_each_factor_is_what_plain_python_counts(lake):
    chance = random.Random(3)
    rows = [drawn(chance, number) for number in range(400)]
    lake.put(rows[:250])
    lake.put(rows[240:], worker="w1")
    checks: tuple[Check, ...] = ("p50", "p99", "ttft")
    caps: dict[Check, float] = {check: plain.check_sums(rows, [], WINDOW, check).cap for check in checks}
    found = slower(Directory(lake.root), WINDOW, caps)

    for check in checks:
        q0 = WINDOW.thresholds[check][0]
        assert list(found[check]) == list(GRID)
        for factor in (GRID[0], GRID[17], 1.0, GRID[24], 2.0):
            # Below 1 a request that is no answer is not known to be slow, so it does not enter there either.
            at = replace(WINDOW, thresholds={**WINDOW.thresholds, check: (q0, factor * q0)})
            wanted = plain.check_sums(rows, [], at, check).candidate.y
            assert wanted is not None
            names = ClusterSums.__struct_fields__
            assert [getattr(found[check][factor], name) for name in names] == [
                pytest.approx(getattr(wanted, name)) for name in names
            ]


@pytest.mark.slow
def test_a_candidate_that_takes_half_as_long_again_has_that_ratio(lake):
    chance = random.Random(8)
    rows = [
        gate_row(
            number,
            user_hash=(number % 80).to_bytes(16),
            arm_assigned="candidate" if number % 2 else "base",
            latency_ms=100 * chance.lognormvariate(0, 0.5) * (1.5 if number % 2 else 1.0),
        )
        for number in range(2000)
    ]
    lake.put(rows)
    window = replace(WINDOW, thresholds={"p50": (100.0, 110.0)})
    sums = plain.check_sums(rows, [], window, "p50")
    found = slower(Directory(lake.root), window, {"p50": sums.cap, "p99": 1.0})
    ratio = latency_ratio(sums.base, found["p50"])

    assert set(found) == {"p50"}
    assert ratio is not None
    assert ratio.low < 1.5 < ratio.high
    assert ratio.value == pytest.approx(1.5, abs=0.1)


def test_without_a_request_of_the_candidate_there_is_no_ratio(lake):
    lake.put([gate_row(1)])

    assert slower(Directory(lake.root), WINDOW, {"p50": 1.0}) == {}
