from __future__ import annotations

from msgspec.structs import replace

from rollout.observing import alarm, freeze
from tests.fakes.plans import held, standing, wanted
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
