"""How far a candidate is beyond what is tolerated, in words."""

from __future__ import annotations

from msgspec.structs import replace

from analytics.evidence import Check
from rollout.checks import Reading, Tick, read, watched
from rollout.durations import DAY_S
from rollout.failing import beyond_margin, distance, raw_beside
from rollout.verdict import Watch
from tests.fakes.evidence import EQUAL, RATED, evidence, sums

WORSE = evidence(errors=sums(400, 20, 0.78, base_events=0.4), satisfaction=sums(400, 4, 1.2, base_events=0.8))
TICK = Tick(running_s=DAY_S, look=0, looks=0, dwell_s=7 * DAY_S)


def reading(check: Check) -> Reading:
    found = read(check, RATED, watched(RATED, Watch(), WORSE, DAY_S), WORSE, TICK)
    assert found is not None
    return found


def test_each_kind_of_check_has_its_own_unit():
    assert beyond_margin(reading("errors")) == "Candidate 3.9 %, base 2.0 %, margin 2.7 %"
    assert beyond_margin(reading("satisfaction")) == (
        "Candidate's score 0.70, base's 0.80, at least 0.77 within the margin"
    )
    assert beyond_margin(reading("p50")) == (
        "40.0 % of candidate's requests exceed 1.10 times base's p50, 50.0 % tolerated"
    )
    assert beyond_margin(replace(reading("p50"), ratio=(1.4, 1.3, 1.5))).startswith("Ratio 1.40, margin 1.10: 40.0 %")


def test_the_distance_is_odds_unless_only_looks_are_heard():
    assert distance(reading("errors")).endswith('against "no worse", 200 needed')
    assert distance(replace(reading("errors"), is_deaf=True)).endswith(" standard errors worse at a look, 2.81 needed")
    assert distance(replace(reading("errors"), optimum=None)).endswith(" standard errors worse at a look, 2.81 needed")


def test_raw_rates_stand_beside_weighted_ones_only_where_they_differ():
    found = reading("errors")
    capped = replace(found.sums, candidate=replace(found.sums.candidate, events=found.sums.candidate.requests // 2))

    assert raw_beside(found) == ""
    assert raw_beside(replace(found, sums=capped)) == " (weighted by user; raw 50.0 % and 2.0 %)"
    assert EQUAL.checks["errors"].cap == 20
