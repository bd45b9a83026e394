from __future__ import annotations

from msgspec.structs import replace

from gateway.console.gate_views import position_of
from rollout.controller import move
from rollout.explanation import explain
from rollout.observing import alarm, freeze
from rollout.plan import DEFAULT_PLAN
from rollout.progress import begun
from tests.fakes.evidence import GA, RATED
from tests.fakes.plans import AT, held, said, standing, wanted
from tests.rollout.test_vigilance import ALARM, REPORT, VIGIL

STATE = standing("at_ga", vigil=replace(VIGIL, news=(ALARM,)), report=REPORT)
PROGRESS = held(STATE).progress
WANTED = wanted(STATE)


def test_a_frozen_base_stands_in_the_audit_by_its_hash():
    [change] = freeze(STATE, WANTED, PROGRESS)

    assert change.action == "freeze_reference"
    assert change.after["reference"]["sha256"] == "d"
    assert change.progress is not None
    assert change.progress.vigil == replace(VIGIL, news=(ALARM,), is_told=True)


def test_an_alarm_moves_nothing_and_is_news_no_more():
    [change] = alarm(STATE, WANTED, PROGRESS)

    assert (change.action, change.after["percent"]) == ("monitor_alarm", held(STATE).flag.percent)
    assert change.after["evidence"]["summary"].startswith("Alarm: errors against base as it was: 9.0 %.")
    assert change.progress is not None
    assert change.progress.vigil is not None
    assert (change.progress.vigil.news, change.progress.vigil.alarms) == ((), (ALARM,))
    [bare] = alarm(STATE, WANTED, replace(PROGRESS, report=None))
    assert "evidence" not in bare.after


def test_without_a_watch_there_is_nothing_to_tell():
    bare = replace(PROGRESS, vigil=None)

    assert (freeze(STATE, WANTED, bare), alarm(STATE, WANTED, bare)) == ([], [])


def test_what_the_watch_has_to_write_moves_the_controller_and_a_failure_comes_first():
    plan = DEFAULT_PLAN
    fresh = replace(PROGRESS, vigil=VIGIL, report=REPORT)

    assert move(fresh, plan, at=AT, thaws_at=None) == "freeze"
    known = replace(fresh, vigil=replace(VIGIL, is_told=True))
    assert move(known, plan, at=AT, thaws_at=None) == "stay"
    alarming = replace(fresh, vigil=replace(VIGIL, is_told=True, news=(ALARM,)))
    assert move(alarming, plan, at=AT, thaws_at=None) == "alarm"
    assert move(replace(alarming, report=said("fail")), plan, at=AT, thaws_at=None) == "roll_back"
    assert move(replace(fresh, vigil=replace(VIGIL, digest="")), plan, at=AT, thaws_at=None) == "stay"


def test_the_watch_of_a_step_goes_on_as_long_as_everybody_is_a_candidate():
    renewed = begun(replace(PROGRESS, step=GA), replace(GA, step=9), "at_ga")
    first = begun(replace(PROGRESS, step=RATED), GA, "at_ga").vigil

    assert renewed.vigil == PROGRESS.vigil
    assert first is not None
    assert (first.digest, first.until) == ("", GA.started_at)
    assert begun(PROGRESS, RATED, "running").vigil is None


def test_an_alarm_is_explained_as_one_that_does_nothing_by_itself():
    report = replace(said("collecting"), gate="ga", alarms=("alarm at 10:00: errors against base",))
    position = position_of(held(STATE), DEFAULT_PLAN, at=AT, thaws_at=None)

    assert explain(report, position).missing.startswith("Nothing by itself. But there was an alarm at 10:00")
