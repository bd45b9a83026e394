"""Fast kill: which counter alarms, and how that reads."""

from __future__ import annotations

from msgspec.structs import replace

from analytics.evidence import FailingUsers
from rollout.killing import alarming, killed
from tests.fakes.evidence import GA, INNER, evidence


def test_the_counter_that_alarms_most_is_named():
    counter = alarming(INNER, evidence(failing=(FailingUsers(kind="failure", base=1, candidate=9),)))

    assert counter is not None
    report = killed(INNER, counter)
    assert report.check == "fast kill"
    assert report.verdict == "fail"
    assert report.words.startswith("9 candidate users failed, 1 base user: odds ")
    assert report.words.endswith(" at 5 % of users, 500 needed")
    assert report.figures["users_candidate"] == 9
    assert report.figures["percent"] == 5.0


def test_an_hour_alarms_where_the_step_as_a_whole_does_not():
    failing = FailingUsers(kind="failure", base=2000, candidate=110, hour_base=3, hour_candidate=12)
    counter = alarming(INNER, evidence(failing=(failing,)))

    assert counter is not None
    assert "12 candidate users failed, 3 base users within the present hour: odds " in killed(INNER, counter).words
    assert killed(INNER, counter).words.endswith(", 48,000 needed")


def test_refused_requests_count_apart():
    counter = alarming(INNER, evidence(failing=(FailingUsers(kind="client_error", candidate=6),)))

    assert counter is not None
    assert killed(INNER, counter).words.startswith(
        "6 candidate users were refused (client errors), no base user: odds "
    )
    assert killed(INNER, counter).words.endswith("2,000 needed")


def test_without_a_share_of_both_arms_there_is_no_fast_kill():
    many = evidence(failing=(FailingUsers(kind="failure", candidate=900),))

    assert alarming(GA, many) is None
    assert alarming(replace(INNER, row=replace(INNER.row, percent=0.0)), many) is None
    assert alarming(INNER, evidence()) is None


def test_a_wide_margin_of_errors_tolerates_more_failing_users():
    some = evidence(failing=(FailingUsers(kind="failure", candidate=3),))

    assert alarming(INNER, some) is not None
    assert alarming(replace(INNER, fast_kill_margin=3.0), some) is None
