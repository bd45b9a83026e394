"""Data quality: each condition, its sentence, and which of them a person has to clear."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from analytics.evidence import Quality
from rollout.holds import holds, newly_latched
from rollout.phase import FrozenStep
from tests.fakes.evidence import GA, INNER, PROOF, SOUND, step

AT_FIVE = replace(SOUND, base_users=9500, candidate_users=500)
SHORT = replace(INNER, row=replace(INNER.row, dwell_s=20.0))


def found(frozen: FrozenStep = INNER, **given: Any) -> list[tuple[str, str]]:
    return [(hold.condition, hold.words) for hold in holds(frozen, replace(AT_FIVE, **given), ())]


def test_sound_records_hold_nothing():
    assert found() == []
    assert holds(PROOF, Quality(), ()) == ()


@pytest.mark.parametrize(
    ("given", "condition", "words"),
    [
        (
            {"base_users": 9380, "candidate_users": 620},
            "sample_ratio",
            "620 of 10,000 users are candidates, 500 expected: odds 112,316 to 1. Nothing is concluded",
        ),
        (
            {"crossed_rows": 201},
            "crossed",
            "201 of 200,000 requests were served by the other arm without a fallback, 0.1 % at most",
        ),
        ({"crossed_users": 11}, "crossed", "11 of 10,000 users were seen in both arms, 0.1 % at most"),
        ({"lost_rows": 201}, "lost", "201 of 200,000 records are missing, 0.1 % at most"),
        ({"disk_alarm": True}, "lost", "A full disk, or one that fails, kept records from being written"),
        (
            {"unclosed_candidate": 201},
            "lost",
            "201 of 20,000 requests of the candidate were begun and never closed, 1 % at most",
        ),
        (
            {"unclosed_base": 1801},
            "lost",
            "1,801 of 180,000 requests of base were begun and never closed, 1 % at most",
        ),
        ({"heartbeat_age_s": 901.0}, "stale", "A worker's records were last heard of 15 min 1 s ago, 15 min at most"),
        (
            {"quiet_candidate_s": 7201.0, "recent_base_rows": 400},
            "silent",
            "No request of the candidate has been recorded for 2 h, where 21 requests were due",
        ),
        (
            {"quiet_base_s": 7201.0, "recent_candidate_rows": 10},
            "silent",
            "No request of base has been recorded for 2 h, where 190 requests were due",
        ),
        (
            {"quiet_candidate_s": 86_401.0, "quiet_base_s": 86_401.0},
            "silent",
            "No request has been recorded for 1 d: nobody has asked anything, or the records are late",
        ),
        (
            {"mixed_rows": 4000},
            "mixed",
            "2.0 % of requests were decided at another percent than 5 %, 1.0 % at most: 4,000 of 200,000 requests",
        ),
    ],
)
def test_a_condition_holds_with_its_counts_and_its_limit(given: dict[str, Any], condition: str, words: str):
    assert found(**given) == [(condition, words)]


@pytest.mark.parametrize(
    "given",
    [
        {"base_users": 9440, "candidate_users": 560},
        {"crossed_rows": 200},
        {"crossed_users": 10},
        {"lost_rows": 200},
        {"unclosed_candidate": 200},
        {"heartbeat_age_s": 900.0},
        {"heartbeat_age_s": None},
        {"quiet_candidate_s": 7201.0, "recent_base_rows": 379},
        {"quiet_candidate_s": 7200.0, "recent_base_rows": 4000},
        {"quiet_base_s": 30_000.0, "quiet_candidate_s": 30_000.0},
        {"mixed_rows": 2000},
    ],
)
def test_up_to_its_limit_nothing_holds(given: dict[str, Any]):
    assert found(**given) == []


def test_several_conditions_hold_at_once():
    assert [condition for condition, _ in found(lost_rows=900, unclosed_base=9000, heartbeat_age_s=9000.0)] == [
        "lost",
        "lost",
        "stale",
    ]


def test_where_everybody_is_a_candidate_there_is_no_other_arm_to_compare_with():
    assert found(GA, base_users=3, quiet_base_s=80_000.0, recent_candidate_rows=9000, base_rows=0) == []
    assert found(GA, quiet_candidate_s=86_401.0)[0][1].startswith("No request has been recorded for 1 d: ")


def test_a_step_of_seconds_holds_within_itself():
    assert found(SHORT, quiet_candidate_s=6.0, recent_base_rows=400)[0][0] == "silent"
    assert found(SHORT, quiet_candidate_s=11.0, quiet_base_s=11.0)[0][0] == "silent"
    assert found(SHORT, heartbeat_age_s=11.0)[0][0] == "stale"


def test_what_latched_holds_on_and_says_so_once():
    earlier = holds(INNER, AT_FIVE, ("crossed", "sample_ratio"))
    again = holds(INNER, replace(AT_FIVE, crossed_rows=900), ("crossed",))

    assert [hold.words for hold in earlier] == [
        "Requests or users had crossed over to the other arm earlier in this step; restart it to begin anew",
        "The arms had other shares of users than they are due earlier in this step; restart it to begin anew",
    ]
    assert [hold.condition for hold in again] == ["crossed"]


def test_only_what_a_person_has_to_clear_latches():
    now = holds(INNER, replace(AT_FIVE, crossed_rows=900, heartbeat_age_s=9000.0, mixed_rows=9000), ())

    assert newly_latched(now, ("lost",)) == ("crossed", "lost")
    assert step(1) == INNER
