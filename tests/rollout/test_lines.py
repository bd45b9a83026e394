"""The lines that people read: word for word in their shape, with count, unit and margin."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from analytics.evidence import CheckSums, StepEvidence
from rollout.durations import DAY_S, HOUR_S
from rollout.gate import CheckReport, Look, Watch, judge
from rollout.phase import FrozenStep
from tests.fakes.evidence import AT, EQUAL, HOLDBACK, PROOF, RATED, arm, evidence, fitting, slow, sums

DAY = DAY_S


def check(
    name: str,
    seen: StepEvidence,
    *,
    frozen: FrozenStep = PROOF,
    look: Look = 0,
    running_s: float = 2.8333 * DAY,
    **watch: Any,
) -> CheckReport:
    fit = fitting(seen, frozen.row.percent)
    report, _ = judge(frozen, Watch(**watch), fit, at=AT, running_s=running_s, look=look)
    return next(one for one in report.checks if one.check == name)


def words(name: str, seen: StepEvidence, **given: Any) -> str:
    return check(name, seen, **given).words


def few(users: int, requests: int, base_users: int = 400) -> CheckSums:
    one = arm(users, 1, 0.1)
    return CheckSums(cap=1.0, base=arm(base_users, 10, 1), candidate=replace(one, requests=requests))


def test_a_check_that_has_too_little_says_what_is_needed_and_when_that_is_expected():
    assert words("p99", evidence(p99=few(37, 412)), running_s=4.92 * HOUR_S) == (
        "p99: collecting. 412 of 2,000 requests needed, 37 of 100 users; expected in 18 h 58 min"
    )
    assert words("ttft", evidence(ttft=few(37, 412))).startswith(
        "ttft: collecting. 412 of 1,000 streamed requests needed, 37 of 100 users; expected in "
    )
    assert words("satisfaction", EQUAL, frozen=RATED) == (
        "satisfaction: collecting. 0 of 300 ratings needed, 0 of 100 users"
    )


def test_one_busy_user_is_called_one_user():
    busy = few(1, 12_040)

    assert words("errors", evidence(errors=busy)) == (
        "errors: collecting. 12,040 requests come from 1 user; 100 users needed"
    )
    assert words("errors", evidence(errors=few(40, 12_040)), running_s=DAY) == (
        "errors: collecting. 12,040 requests come from 40 users; 100 users needed; expected in 1 d 12 h"
    )
    assert words("errors", evidence(errors=few(40, 12_040)), running_s=0).endswith("100 users needed")


def test_an_arm_of_base_without_users_is_told():
    assert words("errors", evidence(errors=few(100, 1000, base_users=1))) == (
        "errors: collecting. 1,000 requests of 100 users, but base has 1 user to compare with; 2 needed"
    )


def test_between_looks_a_ratio_has_a_safe_interval_and_the_next_look():
    seen = evidence(ratios={"p99": (1.08, 0.97, 1.21)})

    assert words("p99", seen) == "p99 ratio 1.08 (95 % interval 0.97\u20131.21), margin 1.20. Next look in 2 d 4 h"
    assert words("p99", EQUAL) == (
        "p99 ratio below 1 (95 % interval below 1 to 1.02), margin 1.20. Next look in 2 d 4 h"
    )


def test_between_looks_a_rate_has_a_safe_interval_as_soon_as_it_may_fail():
    assert words("errors", EQUAL) == (
        "errors 2.0 % (95 % interval 1.9\u20132.1 %), base 2.0 %, margin 2.7 %. Next look in 2 d 4 h"
    )
    assert words("errors", evidence(errors=sums(100, 20, 0.01))).startswith("errors 0.1 %, base 0.1 %, margin 0.3 %.")


def test_beside_a_holdback_there_is_no_next_look():
    assert words("errors", EQUAL, frozen=HOLDBACK, looks=2).endswith("margin 2.7 %. Watched without end")


def test_satisfaction_is_told_as_a_difference_of_scores():
    rated = evidence(satisfaction=sums(400, 4, 1))

    assert words("satisfaction", rated, frozen=RATED).startswith("satisfaction +0.00 against base (95 % interval ")
    assert words("satisfaction", rated, frozen=RATED).endswith("margin \u22120.03. Next look in 4 d 4 h")


def test_a_pass_has_its_bound_and_its_margin():
    seen = evidence(ratios={"p99": (1.08, 0.97, 1.17)})

    assert words("p99", seen, look=1) == "p99: pass. Ratio 1.08, at most 1.17 (97.5 % bound), margin 1.20"
    assert words("p50", seen, look=1) == "p50: pass. Ratio below 1, at most 1.02 (97.5 % bound), margin 1.10"
    assert words("errors", seen, look=1) == (
        "errors: pass. Candidate 2.0 %, base 2.0 %; at most 2.1 % (97.5 % bound), margin 2.7 %"
    )


def test_a_pass_of_satisfaction_has_its_worst_case():
    rated = evidence(satisfaction=sums(1000, 4, 1))

    assert words("satisfaction", rated, frozen=RATED, look=1) == (
        "satisfaction: pass. +0.00, at worst \u22120.01, margin \u22120.03"
    )


def test_a_failure_has_both_arms_the_margin_and_the_odds():
    worse = evidence(errors=sums(400, 20, 0.78, base_events=0.4))
    line = words("errors", worse)

    assert line.startswith("errors: fail. Candidate 3.9 %, base 2.0 %, margin 2.7 %; odds ")
    assert line.endswith(' to 1 against "no worse", 200 needed')


def test_a_failure_of_a_look_has_the_distance():
    line = words("errors", evidence(errors=sums(400, 20, 0.78, base_events=0.4)), look=1, deaf=("errors",))

    assert line.startswith("errors: fail. Candidate 3.9 %, base 2.0 %, margin 2.7 %; ")
    assert line.endswith(" standard errors worse at a look, 2.81 needed")


def test_a_slow_candidate_fails_with_what_was_tolerated():
    base, candidate = arm(4000, 20, 0.2), arm(400, 20, 1.0, beyond=0.8)
    late = CheckSums(cap=20, base=base, candidate=candidate)
    line = words("p99", evidence(p99=late))
    known = words("p99", evidence(p99=late, ratios={"p99": (1.52, 1.41, 1.66)}))

    assert line.startswith(
        "p99: fail. 4.0 % of candidate's requests exceed 1.20 times base's p99, 1.0 % tolerated; odds "
    )
    assert known.startswith("p99: fail. Ratio 1.52, margin 1.20: 4.0 % of candidate's")


def test_lost_satisfaction_fails_with_scores():
    line = words("satisfaction", evidence(satisfaction=sums(1000, 4, 1.2, base_events=0.8)), frozen=RATED)

    assert line.startswith(
        "satisfaction: fail. Candidate's score 0.70, base's 0.80, at least 0.77 within the margin; odds "
    )


def test_what_the_last_look_did_not_prove_says_how_much_would_have():
    rated = evidence(satisfaction=sums(160, 4, 0.84, base_events=0.8, every=4))
    line = words("satisfaction", rated, frozen=RATED, look=2, running_s=14 * DAY)

    assert line == (
        "satisfaction: inconclusive after 14 d. \u22120.01, at worst \u22120.07, margin \u22120.03; "
        "640 ratings of about 5,300 needed"
    )


def test_an_inconclusive_rate_or_latency_has_its_bound_and_requests():
    seen = evidence(errors=sums(100, 20, 0.4, every=10), p99=slow(100, 20, 0.01, beyond=0.009, every=10))
    ratio = replace(seen, ratios={"p99": (1.02, 0.6, 2.4)})
    last: dict[str, Any] = {"look": 2, "running_s": 10 * DAY}

    assert words("errors", seen, **last).startswith(
        "errors: inconclusive after 10 d. Candidate 2.0 %, base 2.0 %, at most 3.5 %, margin 2.7 %; 2,000 requests of"
    )
    assert words("p99", seen, **last).startswith(
        "p99: inconclusive after 10 d. Ratio below 1, perhaps above the margin, margin 1.20; 2,000 requests of about "
    )
    assert words("p99", ratio, **last).startswith(
        "p99: inconclusive after 10 d. Ratio 1.02, at most above 2, margin 1.20; 2,000 requests of about "
    )


def test_what_had_too_little_at_the_end_is_inconclusive_without_a_forecast():
    assert words("p99", evidence(p99=few(37, 412)), look=2, running_s=10 * DAY) == (
        "p99: inconclusive after 10 d. 412 of 2,000 requests needed, 37 of 100 users"
    )


def test_a_margin_that_allows_everything_is_called_so():
    wide = replace(PROOF, margins={**PROOF.margins, "errors": replace(PROOF.margins["errors"], absolute=0.99)})

    assert words("errors", EQUAL, frozen=wide, look=1) == (
        "errors: collecting. The margin allows 101.5 %, and nothing above 99.9 % can be proven; "
        "lower it for the next step"
    )


def test_rates_that_the_cap_changes_are_shown_raw_too():
    equal = EQUAL.checks["errors"]
    heavy = replace(equal, candidate=replace(equal.candidate, events=1000))

    assert words("errors", evidence(errors=heavy), look=1) == (
        "errors: pass. Candidate 2.0 %, base 2.0 % (weighted by user; raw 5.0 % and 2.0 %); "
        "at most 2.1 % (97.5 % bound), margin 2.7 %"
    )


@pytest.mark.parametrize("name", ["errors", "p50", "p99", "ttft"])
def test_every_number_behind_a_line_is_a_number_of_json(name: str):
    figures = check(name, EQUAL).figures

    assert figures["users_candidate"] == 1000
    assert figures["requests_base"] == 200_000
    assert figures["min_users"] == 100
    assert all(value is None or abs(value) < 1e300 for value in figures.values())
