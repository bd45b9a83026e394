"""Watching against base as it was: what alarms, what does not, and that every hour counts once."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from analytics.evidence import ArmSums, Check
from rollout.plan import DEFAULT_MARGINS
from rollout.reference import Alarm, Reference, Vigil, ended_slot, observe, slot_of_week
from tests.fakes.evidence import arm

FIRST: int = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) // 3600
"""A Monday's first hour."""
ALL_WEEK = range(168)
ERRORS = Reference(slots={"errors": {slot: arm(600, 20, 0.4) for slot in ALL_WEEK}})


def after(reference: Reference, sums: ArmSums, hours: int, check: Check = "errors") -> tuple[Vigil, list[Alarm]]:
    vigil, alarms = Vigil(), list[Alarm]()
    for hour in range(hours):
        vigil, found = observe(reference, vigil, FIRST + hour, {check: sums}, DEFAULT_MARGINS)
        alarms += found
    return vigil, alarms


def test_hours_of_the_week_begin_on_monday():
    assert slot_of_week(ERRORS, FIRST) == 0
    assert slot_of_week(ERRORS, FIRST - 1) == 167
    assert slot_of_week(replace(ERRORS, by_day=True), FIRST // 24) == 0
    assert ended_slot(ERRORS, FIRST * 3_600_000_000 + 5) == FIRST - 1
    assert ended_slot(replace(ERRORS, by_day=True), FIRST * 3_600_000_000) == FIRST // 24 - 1


def test_hours_like_base_never_alarm():
    vigil, alarms = after(ERRORS, arm(200, 20, 0.4), 168)

    assert alarms == []
    assert vigil.observed == FIRST + 167


def test_hours_that_are_worse_alarm_within_few_and_the_detector_begins_anew():
    vigil, alarms = after(ERRORS, arm(200, 20, 2.0), 3)

    assert [alarm.check for alarm in alarms] == ["errors"]
    assert alarms[0].words == (
        "errors against base as it was: 10.0 %, base had 2.0 %, margin 2.7 %; 4,000 requests of 200 users in the last "
        "hour. The world may have changed instead: nothing is rolled back"
    )
    assert vigil.detectors["errors"].level < 2160


def test_an_hour_counts_once():
    vigil, _ = observe(ERRORS, Vigil(), FIRST, {"errors": arm(200, 20, 2.0)}, DEFAULT_MARGINS)
    again, alarms = observe(ERRORS, vigil, FIRST, {"errors": arm(200, 20, 2.0)}, DEFAULT_MARGINS)

    assert (again, alarms) == (vigil, ())


def test_what_base_never_had_or_hardly_anybody_asked_is_no_observation():
    empty = replace(ERRORS, slots={"errors": {}})

    assert after(empty, arm(200, 20, 9.0), 3)[0].detectors == {}
    assert after(ERRORS, arm(1, 20, 9.0), 3)[0].detectors == {}
    assert after(ERRORS, arm(200, 20, 9.0), 3, check="p50")[0].detectors == {}


def test_days_are_watched_where_hours_are_thin():
    slow = Reference(slots={"p99": {day: arm(600, 20, 0.2) for day in range(7)}}, by_day=True)
    vigil, alarms = Vigil(), list[Alarm]()
    for day in range(3):
        now = arm(200, 20, 2.0, beyond=1.6)
        vigil, found = observe(slow, vigil, FIRST // 24 + day, {"p99": now}, DEFAULT_MARGINS)
        alarms += found

    assert alarms[0].words.startswith(
        "p99 against base as it was: 8.0 % of requests exceed 1.20 times base's p99, 1.0 % tolerated; 4,000 requests"
    )


def test_lost_satisfaction_is_told_in_scores():
    rated = Reference(slots={"satisfaction": {slot: arm(600, 4, 0.8) for slot in ALL_WEEK}})
    _, alarms = after(rated, arm(300, 4, 1.6), 3, check="satisfaction")

    assert alarms[0].words.startswith(
        "satisfaction against base as it was: score 0.60, base's was 0.80, at least 0.77 within the margin; 1,200"
    )
