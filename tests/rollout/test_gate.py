"""The gate: each verdict, their order, and what never happens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from analytics.evidence import FailingUsers, Quality, StepEvidence
from rollout.durations import DAY_S
from rollout.gate import CheckReport, GateReport, Look, Watch, judge, look_due
from rollout.phase import FrozenStep
from tests.fakes.evidence import (
    AT,
    EQUAL,
    GA,
    HOLDBACK,
    INNER,
    PROOF,
    RATED,
    SOUND,
    arm,
    evidence,
    fitting,
    step,
    sums,
)

DAY = DAY_S
LOST = replace(SOUND, lost_rows=50, due_rows=10_000)


def judged(
    frozen: FrozenStep = PROOF,
    seen: StepEvidence = EQUAL,
    *,
    watch: Watch = Watch(),  # noqa: B008 - frozen
    running_s: float = 5 * DAY_S,
    look: Look = 1,
) -> tuple[GateReport, Watch]:
    return judge(frozen, watch, fitting(seen, frozen.row.percent), at=AT, running_s=running_s, look=look)


def check(report: GateReport, name: str) -> CheckReport:
    return next(one for one in report.checks if one.check == name)


def verdicts(report: GateReport) -> dict[str, str]:
    return {one.check: one.verdict for one in report.checks}


def test_equal_arms_with_enough_users_pass_at_a_look():
    report, watch = judged()

    assert report.verdict == "pass", report.summary
    assert verdicts(report) == dict.fromkeys(("errors", "p50", "p99", "ttft"), "pass")
    assert report.summary == "Pass: errors, p50, p99 and ttft within the margin, proven"
    assert watch.looks == 1
    assert watch.passed == ("errors", "p50", "p99", "ttft")
    assert report.digest == PROOF.digest
    assert report.at == AT


def test_between_looks_nothing_passes():
    report, watch = judged(running_s=3 * DAY, look=0)

    assert report.verdict == "collecting"
    assert set(verdicts(report).values()) == {"collecting"}
    assert report.summary == "Collecting: errors, p50, p99 and ttft to be proven; next look in 2 d"
    assert watch.looks == 0


def test_a_gate_asks_for_satisfaction_in_beta():
    without, _ = judged(RATED)
    with_ratings, _ = judged(RATED, evidence(satisfaction=sums(400, 4, 1)))

    assert without.verdict == "collecting"
    assert check(without, "satisfaction").words.startswith("satisfaction: collecting. 0 of 300 ratings needed")
    assert with_ratings.verdict == "pass"


def test_fast_kill_comes_before_everything():
    failing = (FailingUsers(kind="failure", candidate=3),)
    report, _ = judged(step(1), evidence(failing=failing, quality=LOST), look=0)

    assert report.verdict == "fail"
    assert report.is_fast_kill
    assert report.checks[0].words == (
        "3 candidate users failed, no base user: odds 1,133 to 1 at 5 % of users, 500 needed"
    )
    assert report.holds


def test_two_failing_users_are_no_fast_kill():
    report, _ = judged(step(1), evidence(failing=(FailingUsers(kind="failure", candidate=2),)), look=0)

    assert report.verdict == "collecting"


def test_a_hold_comes_before_failures_and_its_look_waits():
    report, watch = judged(seen=evidence(quality=LOST, errors=sums(400, 20, 8, base_events=1)))

    assert report.verdict == "hold"
    assert report.summary == "Hold: 50 of 10,000 records are missing, 0.1 % at most"
    assert set(verdicts(report).values()) == {"hold"}
    assert watch.looks == 0
    assert watch.latched == ("lost",)
    assert watch.passed == ()


def test_what_latched_holds_until_the_step_is_restarted():
    report, watch = judged(watch=Watch(latched=("lost",)))

    assert report.verdict == "hold"
    assert report.holds == ("Records had been lost earlier in this step; restart it to begin anew",)
    assert watch.latched == ("lost",)


def test_what_clears_itself_lets_the_look_be_made():
    stale = evidence(quality=replace(SOUND, heartbeat_age_s=1000.0))
    held, watch = judged(seen=stale)
    after, _ = judged(watch=watch)

    assert held.verdict == "hold"
    assert watch.latched == ()
    assert after.verdict == "pass"


def test_a_candidate_that_is_worse_fails_at_any_tick():
    report, watch = judged(seen=evidence(errors=sums(400, 20, 4, base_events=1)), running_s=2 * DAY, look=0)

    assert report.verdict == "fail"
    assert verdicts(report) == {"errors": "fail", "p50": "collecting", "p99": "collecting", "ttft": "collecting"}
    assert report.summary == check(report, "errors").words
    assert 'against "no worse", 200 needed' in report.summary
    assert "errors" in watch.v_opt


def test_all_failing_checks_are_named():
    worse = sums(400, 20, 8, base_events=1)
    report, _ = judged(
        seen=evidence(errors=worse, p99=replace(worse, candidate=replace(worse.candidate, y=worse.candidate.x)))
    )

    assert report.summary.endswith("And p99 too")


def test_a_check_that_the_gate_does_not_ask_for_fails_nothing():
    report, _ = judged(seen=evidence(satisfaction=sums(400, 20, 16, base_events=1)))

    assert report.verdict == "pass"


def test_below_the_minima_nothing_passes_and_after_the_second_look_it_is_inconclusive():
    few = evidence(errors=sums(37, 11, 0))
    first, watch = judged(seen=few)
    second, last = judged(seen=few, watch=watch, running_s=10 * DAY, look=2)
    later, _ = judged(seen=few, watch=last, running_s=11 * DAY, look=0)

    assert first.verdict == "collecting"
    assert first.blocks == ("errors is not proven",)
    assert first.summary == "Collecting: errors is not proven; next look in 5 d"
    assert second.verdict == later.verdict == "inconclusive"
    assert last.looks == 2
    assert second.summary == "Inconclusive after 10 d: errors is not proven. A person decides"
    assert later.summary == "Inconclusive after 11 d: no proof of errors. A person decides"
    assert check(later, "p50").verdict == "pass"
    assert check(later, "p50").words.startswith("p50: passed at the last look")
    assert check(later, "errors").verdict == "inconclusive"


def test_a_failure_is_seen_after_the_last_look_too():
    report, _ = judged(
        seen=evidence(errors=sums(400, 20, 6, base_events=1)), watch=Watch(looks=2), running_s=12 * DAY, look=0
    )

    assert report.verdict == "fail"


def test_an_inner_row_passes_when_nothing_failed_and_says_so():
    enough, _ = judged(INNER, evidence(errors=sums(100, 5, 0)), running_s=2 * DAY)
    users, _ = judged(INNER, evidence(errors=sums(99, 50, 0)), running_s=2 * DAY)
    requests, _ = judged(INNER, evidence(errors=sums(100, 4, 0)), running_s=2 * DAY)
    between, _ = judged(INNER, running_s=DAY, look=0)

    assert enough.verdict == "pass"
    assert enough.is_safety_only
    assert enough.summary == (
        "Pass, safety only: nothing failed in 500 requests of 100 candidate users; "
        "proof is asked for at the last step of the phase"
    )
    assert users.verdict == requests.verdict == between.verdict == "collecting"
    assert users.blocks == ("The candidate has 4,950 requests of 99 users, and 500 of 100 are needed",)
    assert between.summary == "Collecting: nothing failed in 20,000 requests of 1,000 users so far; next look in 1 d"


def test_an_inner_row_tells_what_it_passes_by_and_asks_for_no_checks_own_minima():
    few = replace(sums(31, 1, 0), candidate=replace(arm(31, 1, 0), requests=382))
    thin, _ = judged(INNER, evidence(errors=few), running_s=DAY, look=0)

    assert thin.summary == (
        "Collecting: nothing failed in 382 requests of 31 users so far, and 500 of 100 are needed; next look in 1 d"
    )
    assert thin.safety == {"users_candidate": 31, "requests_candidate": 382, "min_users": 100, "min_requests": 500}
    assert thin.checks[0].words == (
        "errors: collecting. 382 requests of 31 users so far; this step asks for no proof of it"
    )
    assert judged(PROOF)[0].safety == judged(HOLDBACK)[0].safety == judged(GA)[0].safety == {}


def test_an_inner_row_counts_rows_where_errors_are_not_measured():
    seen = replace(EQUAL, checks={})

    assert judged(INNER, seen, running_s=2 * DAY)[0].verdict == "pass"
    assert judged(INNER, replace(seen, quality=Quality()), running_s=2 * DAY)[0].verdict == "collecting"


def test_answers_of_base_for_the_candidate_block_a_pass():
    report, _ = judged(seen=evidence(fallback_share=0.023))
    allowed, _ = judged(seen=evidence(fallback_share=0.01))

    assert report.verdict == "collecting"
    assert report.blocks == ("Base answered 2.3 % of candidate's requests, 1.0 % at most for a pass",)
    assert set(verdicts(report).values()) == {"pass"}
    assert allowed.verdict == "pass"


def test_a_gate_without_checks_never_passes():
    bare = replace(PROOF, row=replace(PROOF.row, checks=()))
    first, watch = judged(bare)
    last, _ = judged(bare, watch=watch, running_s=10 * DAY, look=2)
    inner, _ = judged(replace(bare, is_proof=False))

    assert first.verdict == inner.verdict == "collecting"
    assert last.verdict == "inconclusive"
    assert "without one it never passes" in last.summary
    assert judged(bare, running_s=DAY, look=0)[0].summary == "Collecting: nothing to be proven; next look in 4 d"


@pytest.mark.parametrize("seen", [EQUAL, evidence(inapplicable=("ttft",))])
def test_what_does_not_apply_blocks_nothing_and_says_so(seen: StepEvidence):
    frozen = PROOF if seen is not EQUAL else replace(PROOF, references={"p50": 800.0, "p99": 4000.0})
    report, _ = judged(frozen, seen)

    assert report.verdict == "pass"
    assert check(report, "ttft").words == (
        "ttft: not applicable. Under 20 % of base's requests are streamed; it is not asked for"
    )
    assert not check(report, "ttft").applies
    assert report.summary == "Pass: errors, p50 and p99 within the margin, proven"


def test_a_gate_of_nothing_that_applies_never_passes():
    frozen = replace(PROOF, row=replace(PROOF.row, checks=("ttft",)))

    assert judged(frozen, evidence(inapplicable=("ttft",)))[0].verdict == "collecting"


def test_a_hold_leaves_what_does_not_apply():
    report, _ = judged(seen=evidence(quality=LOST, inapplicable=("ttft",)))

    assert check(report, "ttft").verdict == "inconclusive"
    assert check(report, "p50").verdict == "hold"


def test_ratings_that_cannot_be_compared_are_inconclusive():
    rated = sums(400, 4, 1)
    apart = sums(400, 20, 8, base_events=4)
    first, watch = judged(RATED, evidence(satisfaction=rated, feedback=apart))
    last, _ = judged(RATED, evidence(satisfaction=rated, feedback=apart), watch=watch, running_s=14 * DAY, look=2)
    alike, _ = judged(RATED, evidence(satisfaction=rated, feedback=sums(400, 20, 4)))

    assert first.verdict == "collecting"
    assert check(first, "satisfaction").verdict == "inconclusive"
    assert check(first, "satisfaction").words == (
        "satisfaction: inconclusive. One arm's users give feedback more often than the other's, so ratings cannot be "
        "compared; looked at again in 9 d"
    )
    assert last.verdict == "inconclusive"
    assert alike.verdict == "pass"


def test_v_opt_is_frozen_at_the_first_tick_that_can_fail():
    thin = evidence(errors=sums(29, 40, 20))
    _, before = judged(seen=thin, running_s=DAY, look=0)
    _, frozen = judged(running_s=DAY, look=0)
    _, later = judged(watch=frozen, running_s=3 * DAY, look=0)

    assert "errors" not in before.v_opt
    assert frozen.v_opt.keys() == {"errors", "p50", "p99", "ttft"}
    assert later.v_opt == frozen.v_opt


def test_a_check_whose_monitor_alarmed_fails_at_looks_alone():
    worse = evidence(errors=sums(400, 20, 4, base_events=1))
    pulling = replace(worse, drift={"errors": -0.4})
    between, watch = judged(seen=pulling, running_s=2 * DAY, look=0)
    later, still = judged(seen=worse, watch=watch, running_s=3 * DAY, look=0)
    look, _ = judged(seen=worse, watch=still)

    assert between.verdict == later.verdict == "collecting"
    assert still.deaf == ("errors",)
    assert "It can fail at looks alone" in check(later, "errors").words
    assert look.verdict == "fail"
    assert "standard errors worse at a look, 2.81 needed" in look.summary


def test_beside_a_holdback_failing_is_watched_and_nothing_passes():
    fine, _ = judged(HOLDBACK, look=0, running_s=27 * DAY)
    worse, _ = judged(HOLDBACK, evidence(errors=sums(400, 20, 6, base_events=1)), look=0, running_s=20 * DAY)
    killed, _ = judged(
        HOLDBACK, evidence(failing=(FailingUsers(kind="failure", candidate=9000, base=2),)), look=0, running_s=DAY
    )
    even_at_a_look, _ = judged(HOLDBACK, running_s=28 * DAY)

    assert fine.verdict == even_at_a_look.verdict == "collecting"
    assert fine.summary == "Nothing speaks against the candidate; 2 % of users stay with base to compare"
    assert worse.verdict == "fail"
    assert killed.is_fast_kill


def test_when_everybody_is_a_candidate_no_check_is_left_but_holds_are():
    report, _ = judged(GA, evidence(failing=(FailingUsers(kind="failure", candidate=9000),)), look=0)
    lost, _ = judged(GA, evidence(quality=LOST), look=0)

    assert report.verdict == "collecting"
    assert report.checks == ()
    assert report.summary == "Everybody is served by the candidate, and no base is left beside it: a holdback keeps one"
    assert lost.verdict == "hold"


def test_the_certificates_row_is_judged_elsewhere():
    assert judged(step(0), look=0)[0].verdict == "inconclusive"


@pytest.mark.parametrize(
    ("looks", "running_s", "due"),
    [(0, 4.9 * DAY, 0), (0, 5 * DAY, 1), (1, 6 * DAY, 0), (1, 10 * DAY, 2), (0, 11 * DAY, 2), (2, 20 * DAY, 0)],
)
def test_two_looks_are_scheduled(looks: int, running_s: float, due: Look):
    assert look_due(PROOF, Watch(looks=looks), running_s) == due


def test_neither_certificates_nor_general_availability_have_looks():
    assert look_due(step(0), Watch(), 1e9) == 0
    assert look_due(GA, Watch(), 1e9) == 0


EVENTS = st.integers(0, 8)
LOOKS: st.SearchStrategy[Look] = st.sampled_from((0, 1, 2))


@settings(deadline=None, max_examples=40)
@given(
    candidate=EVENTS,
    base=EVENTS,
    users=st.integers(2, 150),
    requests=st.integers(1, 20),
    look=LOOKS,
    is_inner=st.booleans(),
)
def test_no_check_fails_and_passes_and_a_pass_has_no_other_verdict(
    candidate: int, base: int, users: int, requests: int, look: Look, *, is_inner: bool
):
    errors = sums(users, requests, min(candidate, requests), base_events=min(base, requests))
    report, watch = judged(INNER if is_inner else PROOF, evidence(errors=errors), look=look)
    again, _ = judged(INNER if is_inner else PROOF, evidence(errors=errors), look=look)

    assert report == again
    if report.verdict == "pass":
        assert look
        assert not report.holds
        assert "fail" not in verdicts(report).values()
        if not is_inner:
            assert set(verdicts(report).values()) == {"pass"}
    if "fail" in verdicts(report).values():
        assert report.verdict == "fail"
    assert watch.looks == look


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(30, 150), LOOKS)
def test_more_bad_evidence_never_turns_a_failure_into_a_pass(less: int, more: int, users: int, look: Look):
    less, more = sorted((less, more))
    better, _ = judged(seen=evidence(errors=sums(users, 12, less, base_events=1)), look=look)
    worse, _ = judged(seen=evidence(errors=sums(users, 12, more, base_events=1)), look=look)

    assert not (better.verdict == "fail" and worse.verdict == "pass")
    assert not (better.verdict != "pass" and worse.verdict == "pass")


@settings(deadline=None, max_examples=40)
@given(look=LOOKS, looks=st.integers(0, 2), is_inner=st.booleans())
def test_no_evidence_never_passes(*, look: Look, looks: int, is_inner: bool):
    nothing = replace(EQUAL, checks={}, quality=Quality())
    report, _ = judged(INNER if is_inner else PROOF, nothing, watch=Watch(looks=looks), look=look)

    assert report.verdict in {"collecting", "inconclusive"}


@settings(deadline=None, max_examples=40)
@given(LOOKS, st.sampled_from(["lost", "crossed", "sample_ratio"]))
def test_a_hold_never_passes(look: Look, condition: str):
    report, watch = judged(watch=Watch(latched=(condition,)), look=look)

    assert report.verdict == "hold"
    assert watch.looks == 0
