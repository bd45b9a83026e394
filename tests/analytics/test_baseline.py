from __future__ import annotations

from msgspec.structs import replace

from analytics.baseline import Baseline, Clock, Frozen, Span, digest, is_thin, read, written
from tests.fakes.evidence import arm

HOUR_US = 3_600_000_000
CLOCK = Clock(hour_us=HOUR_US)
SPAN = Span(rollout="sales", generation=1, arm="base", since=0, until=9, clock=CLOCK, thresholds={"p50": (8.0, 8.8)})
BASE = Baseline(span=SPAN, checks={"errors": Frozen(cap=2.5, slots={3: arm(40, 2, 0.5), 167: arm(9, 1, 0)})})


def test_hours_and_days_are_counted_from_1970_on():
    assert (CLOCK.hours(by_day=False), CLOCK.hours(by_day=True)) == (1, 24)
    assert (CLOCK.cycle(by_day=False), CLOCK.cycle(by_day=True)) == (168, 7)
    assert (CLOCK.ended(HOUR_US, by_day=False), CLOCK.ended(HOUR_US - 1, by_day=False)) == (0, -1)
    assert (CLOCK.ended(48 * HOUR_US, by_day=True), CLOCK.ended(48 * HOUR_US - 1, by_day=True)) == (1, 0)


def test_a_baseline_is_read_as_it_was_written():
    assert read(written(BASE)) == BASE
    assert digest(written(BASE)) == digest(written(read(written(BASE))))
    assert digest(written(BASE)) != digest(written(replace(BASE, requests=1)))
    assert BASE.latencies == {"p50": 8.0}


def test_a_week_is_thin_where_over_a_twentieth_of_its_hours_have_too_few_users():
    many = {hour: arm(30, 1, 0) for hour in range(168)}

    assert not is_thin(CLOCK, many)
    assert not is_thin(CLOCK, {hour: many[hour] for hour in range(160)})
    assert is_thin(CLOCK, {hour: many[hour] for hour in range(159)})
