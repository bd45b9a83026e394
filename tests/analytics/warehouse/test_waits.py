"""Quantiles of waits: those that are kept and those that are counted are the same."""

from __future__ import annotations

import pytest

from analytics.narrowing import Narrowing
from analytics.warehouse.database import Warehouse
from analytics.warehouse.reports import asked
from analytics.warehouse.waits import grids_of
from tests.fakes.handmade_lake import HandmadeLake
from tests.fakes.varied_lake import NAME, fill_varied, split


@pytest.mark.parametrize("by", [None, "application"])
def test_waits_that_are_counted_have_the_quantiles_of_waits_that_are_kept(
    lake: HandmadeLake, warehouse: Warehouse, by: str | None
) -> None:
    fill_varied(lake, 5, 600)
    lake.put([split(9_000 + number, "base", latency_ms=7.25, stream=True, ttft_ms=0.0) for number in range(40)])
    parameters = asked(Narrowing(rollout=NAME, generation=1), by)
    kept, counted = (grids_of(warehouse, parameters, most_kept=most) for most in (1_000_000, 0))

    assert len(kept) >= 2
    assert kept.keys() == counted.keys()
    for arm, grids in kept.items():
        assert grids == {name: one and pytest.approx(one, rel=1e-12) for name, one in counted[arm].items()}


def test_an_arm_that_answered_without_a_wait_has_no_quantiles(lake: HandmadeLake, warehouse: Warehouse) -> None:
    lake.put([split(1, "base", latency_ms=None), split(2, "base", latency_ms=None)])
    parameters = asked(Narrowing(rollout=NAME, generation=1))

    assert {grid for grids in grids_of(warehouse, parameters).values() for grid in grids.values()} == {None}
    assert grids_of(warehouse, parameters, most_kept=0) == {}
