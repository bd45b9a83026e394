"""Watching against base as it was: what alarms, what does not, and that every hour counts once."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from analytics.baseline import Baseline, Clock, Frozen, Span
from analytics.evidence import CHECKS, ArmSums, Check
from rollout.plan import DEFAULT_MARGINS
from rollout.reference import (
    ALARMS_KEPT,
    MOST_HOURS,
    Alarm,
    Vigil,
    clock_of,
    due,
    frozen,
    observe,
    settled_at,
    span_of,
    told,
    vigil_of,
)
from tests.fakes.evidence import GA, RATED, arm, step

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
CLOCK = Clock(hour_us=HOUR_US)
FIRST: int = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) // 3600
UNTIL = FIRST * HOUR_US
SPAN = Span(
    rollout="sales", generation=1, arm="base", since=0, until=UNTIL, clock=CLOCK, thresholds={"p99": (4.0, 4.0)}
)
SOUND = arm(600, 20, 0.4)


def base(check: Check, sums: ArmSums, *, by_day: bool = False) -> Baseline:
    slots = dict.fromkeys(range(7 if by_day else 168), sums)
    return Baseline(span=SPAN, checks={check: Frozen(cap=20.0, slots=slots, by_day=by_day)}, requests=9, users=3)


ERRORS = base("errors", SOUND)


def begun(baseline: Baseline) -> Vigil:
    return frozen(Vigil(since=0, until=UNTIL - 1, clock=CLOCK), baseline, "digest", CHECKS)


def after(baseline: Baseline, sums: ArmSums | None, slots: int, check: Check = "errors") -> Vigil:
    vigil = begun(baseline)
    first = vigil.watched[check].over + 1
    for slot in range(first, first + slots):
        vigil = observe(vigil, baseline, check, slot, sums, DEFAULT_MARGINS[check])
    return vigil


def test_a_watch_freezes_base_of_the_step_before_and_of_a_week_at_least():
    long = vigil_of(replace(RATED, started_at=GA.started_at - 9 * DAY_US), GA)
    short = vigil_of(replace(RATED, started_at=GA.started_at - DAY_US), GA)

    assert (long.since, long.until) == (GA.started_at - 9 * DAY_US, GA.started_at)
    assert (short.since, short.clock) == (GA.started_at - 7 * DAY_US, CLOCK)
    assert vigil_of(None, GA).since == GA.started_at - 7 * DAY_US


@pytest.mark.parametrize(("dwell_s", "hour_s", "day", "week"), [(7 * 86400, 3600, 24, 168), (40, 40 / 48, 12, 84)])
def test_behind_a_demonstration_hours_days_and_weeks_are_short(dwell_s: float, hour_s: float, day: int, week: int):
    clock = clock_of(replace(RATED, row=replace(RATED.row, dwell_s=dwell_s)))

    assert clock.hour_us == round(hour_s * 1e6)
    assert (clock.hours_per_day, clock.hours_per_week) == (day, week)


def test_hours_like_base_never_alarm():
    vigil = after(ERRORS, arm(200, 20, 0.4), 168)

    assert vigil.news == ()
    assert vigil.watched["errors"].over == FIRST + 167
    assert vigil.watched["errors"].observed == 168


def test_hours_that_are_worse_alarm_within_few_and_the_detector_begins_anew():
    vigil = after(ERRORS, arm(200, 20, 2.0), 2)
    again = observe(vigil, ERRORS, "errors", FIRST + 2, arm(200, 20, 2.0), DEFAULT_MARGINS["errors"])

    assert [(alarm.check, alarm.at) for alarm in vigil.news] == [("errors", (FIRST + 2) * HOUR_US)]
    assert vigil.news[0].words == (
        "errors against base as it was: 10.0 %, base had 2.0 %, margin 2.7 %; 4,000 requests of 200 users in an hour"
    )
    assert vigil.watched["errors"].detector.level == 0
    assert 0 < again.watched["errors"].detector.level < 2160
    assert again.news == vigil.news


def test_an_hour_counts_once():
    vigil = after(ERRORS, arm(200, 20, 2.0), 1)
    again = observe(vigil, ERRORS, "errors", FIRST, arm(200, 20, 2.0), DEFAULT_MARGINS["errors"])

    assert again == vigil


def test_an_hour_is_due_when_it_is_over_and_its_slow_requests_have_come():
    vigil = begun(ERRORS)
    end = UNTIL + HOUR_US

    assert settled_at(CLOCK, end) == end + 15 * 60_000_000
    assert settled_at(replace(CLOCK, hour_us=1000), end) == end + 5_000_000
    assert due(vigil, ERRORS, settled_at(CLOCK, end) - 1) == {}
    assert due(vigil, ERRORS, settled_at(CLOCK, end)) == {"errors": range(FIRST, FIRST + 1)}
    assert due(vigil, ERRORS, end + 999 * HOUR_US) == {"errors": range(FIRST, FIRST + MOST_HOURS)}


def test_the_hour_in_which_everybody_became_a_candidate_is_not_observed():
    vigil = frozen(Vigil(since=0, until=UNTIL + 1, clock=CLOCK), ERRORS, "digest", CHECKS)

    assert due(vigil, ERRORS, UNTIL + 5 * HOUR_US)["errors"].start == FIRST + 1


def test_what_is_looked_at_are_the_candidates_requests_of_these_hours_by_the_margin_of_now():
    both = replace(ERRORS, checks={**ERRORS.checks, **base("p99", SOUND, by_day=True).checks})
    span, checks = span_of(
        begun(both), both, {"errors": range(50, 60), "p99": range(1, 2)}, {"p99": DEFAULT_MARGINS["p99"]}
    )

    assert (span.arm, span.since, span.until) == ("candidate", DAY_US, 60 * HOUR_US)
    assert span.thresholds == {"p99": (4.0, 4.8)}
    assert set(checks) == {"errors", "p99"}


def test_what_base_never_had_or_hardly_anybody_asked_is_no_observation():
    empty = replace(ERRORS, checks={"errors": Frozen(cap=1.0, slots={})})

    for vigil in (after(empty, SOUND, 3), after(ERRORS, arm(1, 20, 9.0), 3), after(ERRORS, None, 3)):
        assert (vigil.watched["errors"].observed, vigil.news) == (0, ())
        assert vigil.watched["errors"].over == FIRST + 2


def test_days_are_watched_where_hours_are_thin():
    vigil = after(base("p99", arm(600, 20, 0.2), by_day=True), arm(200, 20, 2.0, beyond=1.6), 3, check="p99")

    assert vigil.news[0].words == (
        "p99 against base as it was: 8.0 % of requests exceed 1.20 times base's p99, 1.0 % tolerated; "
        "4,000 requests of 200 users in a day"
    )
    assert vigil.news[0].at % DAY_US == 0


def test_lost_satisfaction_is_told_in_scores():
    vigil = after(base("satisfaction", arm(600, 4, 0.8)), arm(300, 4, 1.6), 3, check="satisfaction")

    assert vigil.news[0].words == (
        "satisfaction against base as it was: score 0.60, base's was 0.80, at least 0.77 within the margin; "
        "1,200 ratings of 300 users in an hour"
    )


def test_what_is_told_is_kept_for_a_while_and_is_no_news_any_more():
    alarms = tuple(Alarm(check="errors", at=at, words="worse") for at in range(8))
    vigil = told(replace(begun(ERRORS), news=alarms))

    assert (vigil.news, vigil.alarms, vigil.is_told) == ((), alarms[-ALARMS_KEPT:], True)


def test_a_base_that_is_frozen_again_forgets_nothing_that_was_observed():
    vigil = after(ERRORS, SOUND, 5)

    assert frozen(vigil, ERRORS, "other", CHECKS).watched == vigil.watched


def test_only_what_the_row_asks_for_is_watched():
    assert frozen(begun(ERRORS), ERRORS, "digest", ("p50", "p99")).watched == {}


def test_ninety_days_without_a_change_do_not_alarm_and_a_worse_candidate_soon_does():
    """Users' requests and errors drawn at random, base's 2 % within the margin; then 6 %."""
    chance = random.Random(3)
    drawn = {percent: [crowd(chance, percent / 100) for _ in range(20)] for percent in (2, 6)}
    vigil = begun(ERRORS)
    for slot in range(FIRST, FIRST + 24 * 90):
        vigil = observe(vigil, ERRORS, "errors", slot, chance.choice(drawn[2]), DEFAULT_MARGINS["errors"])
    sound = len(vigil.news)
    for slot in range(FIRST + 24 * 90, FIRST + 24 * 91):
        vigil = observe(vigil, ERRORS, "errors", slot, chance.choice(drawn[6]), DEFAULT_MARGINS["errors"])

    assert sound == 0
    assert [alarm.check for alarm in vigil.news] == ["errors"]
    assert vigil.news[0].at <= (FIRST + 24 * 90 + 12) * HOUR_US


def test_what_goes_on_alarming_is_told_once_a_day():
    vigil = after(ERRORS, arm(200, 20, 2.0), 50)

    assert [alarm.at // HOUR_US - FIRST for alarm in vigil.news] == [2, 26, 50]


def crowd(chance: random.Random, rate: float) -> ArmSums:
    whole = arm(150, 8, 0.16)
    users = [sum(chance.random() < rate for _ in range(8)) for _ in range(150)]
    x = replace(whole.x, x=float(sum(users)), xx=float(sum(one * one for one in users)), xn=float(8 * sum(users)))
    return replace(whole, events=sum(users), x=x)


def test_a_step_that_begins_without_a_step_before_it_takes_its_own_clock():
    assert vigil_of(None, step(5)).clock == CLOCK
