"""The factor by which a candidate is slower, from what every tick knows."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from analytics.evidence import CheckSums
from analytics.proof import PASS_Z
from rollout.checks import Reading, Tick, read
from rollout.durations import DAY_S
from rollout.slowness import bounded, slower, so_far, two_points, unbounded
from rollout.verdict import Watch
from tests.fakes.evidence import PROOF, arm, evidence

TICK = Tick(running_s=DAY_S, look=1, looks=1, dwell_s=DAY_S)


def reading(slow: float, beyond: float, *, base: float = 0.2) -> Reading:
    late = CheckSums(cap=20, base=arm(10_000, 20, base), candidate=arm(1000, 20, slow, beyond=beyond))
    found = read("p99", PROOF, Watch(), evidence(p99=late), TICK)
    assert found is not None
    return found


def test_between_the_two_points_the_factor_is_read_off_a_line():
    halfway = reading(0.25, 0.15)
    found = two_points(halfway, PASS_Z)

    assert found is not None
    assert found.value == pytest.approx(1.2**0.5)
    assert 1 < found.low < found.value < found.high < 1.2
    assert bounded(halfway, PASS_Z) == f"Ratio about 1.10, at most {found.high:.2f}"
    assert so_far(halfway, PASS_Z) == f"p99 ratio about 1.10 (95 % interval {found.low:.2f} to {found.high:.2f})"
    assert so_far(halfway, None) == "p99 ratio about 1.10"


def test_the_bound_is_within_the_margin_exactly_where_a_look_passes():
    for beyond in (0.15, 0.16, 0.17, 0.18, 0.19, 0.2):
        late = reading(0.25, beyond)
        found = two_points(late, PASS_Z)

        assert found is not None
        assert (found.high < 1.2 - 1e-9) == late.is_proven


def test_beyond_the_points_only_the_side_is_known():
    assert bounded(reading(0.1, 0.05), PASS_Z) == "Ratio below 1, at most 1.00"
    assert unbounded(reading(0.4, 0.3), PASS_Z) == "Ratio above 1.20"
    assert unbounded(reading(0.25, 0.19), PASS_Z).endswith(", perhaps above the margin")
    assert so_far(reading(0.4, 0.3), PASS_Z) == "p99 ratio above 1.20 (95 % interval above 1.20 to above 1.20)"


def test_what_raw_rows_say_comes_first():
    known = replace(reading(0.25, 0.15), ratio=(1.08, 0.97, 2.4))

    assert bounded(known, PASS_Z) == unbounded(known, PASS_Z) == "Ratio 1.08, at most above 2"
    assert so_far(known, None) == "p99 ratio 1.08 (95 % interval 0.97\u2013above 2)"


@pytest.mark.parametrize("without", ["margin", "slow requests of base", "y"])
def test_without_two_points_shares_are_told(without: str):
    late = reading(0.25, 0.15, base=0.0 if without == "slow requests of base" else 0.2)
    if without == "margin":
        late = replace(late, margin=replace(late.margin, ratio=1.0))
    if without == "y":
        late = replace(late, sums=replace(late.sums, candidate=replace(late.sums.candidate, y=None)))

    assert two_points(late, PASS_Z) is None
    assert bounded(late, PASS_Z) == f"Ratio at most {late.margin.ratio:.2f}"
    assert unbounded(late, PASS_Z) == slower(late)
    assert so_far(late, None) == f"p99: {slower(late)}"
    assert slower(late).endswith("of base's are slower than base's p99")
