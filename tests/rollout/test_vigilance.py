from __future__ import annotations

from msgspec.structs import replace

from analytics.baseline import Clock
from analytics.detector import Detector
from rollout.reference import Alarm, Vigil, Watched
from rollout.vigilance import NEVER_BACK, alarm_words, reported, watched_since
from tests.fakes.evidence import GA
from tests.fakes.plans import said

HOUR_US = 3_600_000_000
SEEN = Watched(over=7, detector=Detector(sums=(4.0, 0.0, 0.0, 8.0)), observed=12, words="2.1 %, base had 2.0 %")
VIGIL = Vigil(
    since=0,
    until=168 * HOUR_US,
    clock=Clock(hour_us=HOUR_US),
    digest="d",
    requests=12_000,
    users=340,
    watched={"errors": replace(SEEN, figures={"level_needed": 2160.0, "z": 0.1}), "p99": Watched(over=7)},
)
ALARM = Alarm(check="errors", at=HOUR_US, words="errors against base as it was: 9.0 %")
REPORT = said("collecting")


def lines(vigil: Vigil) -> dict[str, str]:
    return {check.check: check.words for check in reported(REPORT, vigil, GA).checks}


def test_every_check_says_whether_it_is_watched_and_what_it_saw_last():
    found = lines(VIGIL)

    assert found["errors"] == ("errors: watched. 2.1 %, base had 2.0 %; level 3 after 12 comparisons, 2,160 alarms")
    assert found["p99"] == "p99: watched. No whole hour since with enough to compare"
    assert found["ttft"] == "ttft: not watched. Base had too little of it"
    assert lines(replace(VIGIL, digest="", watched={}))["errors"] == "errors: not watched yet"


def test_the_summary_says_what_is_compared_with_and_that_nothing_goes_back():
    assert reported(REPORT, VIGIL, GA).summary == (
        "Everybody is served by the candidate, which is compared with base as it was; "
        "that notifies and never rolls back"
    )
    assert "about to be kept" in reported(REPORT, replace(VIGIL, digest=""), GA).summary
    assert "of base there was too little" in reported(REPORT, replace(VIGIL, watched={}), GA).summary
    assert reported(REPORT, replace(VIGIL, trouble="the lake is away"), GA).summary.endswith(
        "; the watch cannot see: the lake is away"
    )


def test_an_alarm_is_the_summary_while_it_is_new_and_is_remembered_then():
    new, old = replace(VIGIL, news=(ALARM,)), replace(VIGIL, alarms=(ALARM,))

    assert reported(REPORT, new, GA).summary == f"Alarm: {ALARM.words}. {NEVER_BACK}" == f"Alarm: {alarm_words(new)}"
    assert reported(REPORT, old, GA).summary.endswith("; the last alarm was of errors, at 1970-01-01 01:00:00Z")
    for vigil in (new, old):
        assert reported(REPORT, vigil, GA).alarms == (f"alarm at 1970-01-01 01:00:00Z: {ALARM.words}",)


def test_a_gate_that_holds_says_why_first():
    held = replace(said("hold"), summary="Hold: records are missing")

    assert reported(held, replace(VIGIL, news=(ALARM,)), GA).summary == "Hold: records are missing"


def test_the_audit_is_told_what_base_was():
    assert watched_since(VIGIL) == "base as it was is kept to compare with: 12,000 requests of 340 users in 7 d"
    assert watched_since(replace(VIGIL, watched={})).endswith("in 7 d, too few to watch anything by")
    assert watched_since(replace(VIGIL, requests=0)) == (
        "base had no requests to compare with, so nothing is watched at 100 %"
    )
