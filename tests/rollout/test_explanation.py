"""Five answers without a word of statistics, for each verdict and each standing."""

from __future__ import annotations

import itertools
import re
import typing
from typing import Any

import pytest
from msgspec.structs import astuple, replace

from analytics.evidence import Answered, FailingUsers, StepEvidence
from rollout.certificate import Arms, judge_certificate
from rollout.durations import DAY_S
from rollout.explanation import Condition, Position, explain
from rollout.gate import CheckReport, GateReport, Look, Watch, judge
from rollout.phase import FrozenStep
from rollout.plan import DEFAULT_PLAN
from tests.fakes.evidence import AT, EQUAL, GA, HOLDBACK, INNER, PROOF, RATED, SOUND, arm, evidence, fitting, step, sums

DAY = DAY_S
STATISTICS = re.compile(
    r"\b(p50|p99|ttft|odds|interval|bound|confiden\w+|signific\w+|p-value|probab\w+|percentile|quantile|median|mean|"
    r"varia\w+|standard|error|sampl\w+|statist\w+|hypothes\w+|alpha|margin|sigma|chance|distribut\w+|power|weighted|"
    r"inconclusive|non-inferior\w+|regression|e-value|prior|bayes\w*|test|null)\b",
    re.IGNORECASE,
)


def judged(
    frozen: FrozenStep, seen: StepEvidence, *, look: Look = 0, running_s: float = 2.8333 * DAY, **watch: Any
) -> GateReport:
    return judge(frozen, Watch(**watch), fitting(seen, frozen.row.percent), at=AT, running_s=running_s, look=look)[0]


def at(number: int = 2, condition: Condition = "running", **given: Any) -> Position:
    percent = DEFAULT_PLAN.rows[number].percent
    whole: dict[str, Any] = {"row_number": number, "percent": percent, "next_look_s": 2.1667 * DAY}
    return Position(plan=DEFAULT_PLAN, condition=condition, **{**whole, **given})


KILLED = evidence(failing=(FailingUsers(kind="failure", candidate=9),))
SPLIT = evidence(quality=replace(SOUND, base_users=9380, candidate_users=620))
FEW = evidence(errors=replace(sums(31, 1, 0), candidate=replace(arm(31, 1, 0), requests=382)))
BARE = replace(PROOF, references=dict.fromkeys(("p50", "p99", "ttft")))
UNKNOWN = replace(
    EQUAL,
    checks={"errors": EQUAL.checks["errors"]},
    base_answered=Answered(answers=400, streamed=400, timed=384, first_tokens=120),
)
SEEN = CheckReport(check="errors", verdict="collecting", words="w")
UNSEEN = CheckReport(check="satisfaction", verdict="collecting", words="w", applies=False)
REPORTS: dict[str, GateReport] = {
    "collecting": judged(PROOF, evidence(p99=sums(37, 11, 0))),
    "waiting": judged(PROOF, EQUAL),
    "few": judged(INNER, FEW, running_s=DAY),
    "few at the end": judged(INNER, FEW, running_s=4 * DAY, look=2),
    "inner fallback": judged(INNER, evidence(fallback_share=0.05), look=1),
    "unknown": judged(BARE, UNKNOWN),
    "unknown at the end": judged(BARE, UNKNOWN, look=2, running_s=10 * DAY),
    "alarmed": replace(judged(GA, EQUAL), alarms=("alarm at 2026-11-23 00:11:16Z: p99 against base as it was: x",)),
    "half seen": replace(judged(GA, EQUAL), checks=(SEEN, UNSEEN)),
    "blind": replace(judged(GA, EQUAL), checks=(UNSEEN,)),
    "unsure": judged(PROOF, evidence(errors=sums(100, 20, 0.4, every=10)), look=1),
    "beta": judged(RATED, EQUAL),
    "fallback": judged(PROOF, evidence(fallback_share=0.05), look=1),
    "pass": judged(PROOF, EQUAL, look=1),
    "safety": judged(INNER, EQUAL, look=1),
    "inner": judged(INNER, EQUAL),
    "fail": judged(PROOF, evidence(errors=sums(400, 20, 4, base_events=1))),
    "killed": judged(PROOF, KILLED),
    "hold": judged(step(1), SPLIT),
    "latched": judged(PROOF, EQUAL, latched=("lost",)),
    "inconclusive": judged(PROOF, evidence(errors=sums(100, 20, 0.4, every=10)), look=2, running_s=10 * DAY),
    "thin": judged(PROOF, evidence(p99=sums(37, 11, 0)), look=2, running_s=10 * DAY),
    "holdback": judged(HOLDBACK, EQUAL),
    "ga": judged(GA, EQUAL),
    "certificate": judge_certificate(step(0), None, Arms(base="b", candidate="c"), at=AT),
}
CONDITIONS: tuple[Condition, ...] = typing.get_args(Condition)


@pytest.mark.parametrize(("name", "condition"), list(itertools.product([*REPORTS, "none"], CONDITIONS)))
def test_no_answer_has_a_word_of_statistics_and_none_is_empty(name: str, condition: Condition):
    for position in (at(condition=condition), at(4, condition, next_look_s=None, wait_s=60.0), at(5, condition)):
        answers = astuple(explain(REPORTS.get(name), position))

        assert not [found for answer in answers if (found := STATISTICS.search(answer))]
        assert all(
            (answer[0].isupper() or answer[0].isdigit()) and answer.endswith(".") and len(answer) > 6
            for answer in answers
        )
        assert not [answer for answer in answers if "{" in answer or ".." in answer]


def test_what_is_collected_is_named_with_what_it_lacks_and_the_next_decision():
    said = explain(REPORTS["collecting"], at())

    assert said.not_there_yet == (
        "Not there yet: failed requests, the usual answer time, the slowest answers and the wait for the first word."
    )
    assert said.missing == "The slowest answers: 1,593 more requests and 63 more users of the candidate."
    assert said.next_decision == "In 2 d 4 h of running time; pauses and holds do not count."
    assert said.then.startswith(
        "If everything is as good as allowed, the candidate goes from 10 % to 25 % of users, once somebody has "
        "approved it. If there is no answer after twice the step's time, a person is asked."
    )
    assert said.may_do.startswith("Wait, pause, or roll back; advancing before that needs a reason")


def test_where_enough_was_seen_only_time_is_missing():
    assert (
        explain(REPORTS["waiting"], at()).missing == "Only time: as many requests and users were seen as are asked for."
    )


def test_a_step_that_asks_for_no_proof_is_explained_by_what_makes_it_safe():
    said, enough = explain(REPORTS["few"], at(1)), explain(REPORTS["inner"], at(1))
    late = explain(REPORTS["few at the end"], at(1, "inconclusive", next_look_s=None))

    assert said.not_there_yet == (
        "None is waited for: this step goes on when nothing went wrong among enough requests and users."
    )
    assert said.missing == late.missing == "118 more requests and 69 more users of the candidate."
    assert said.then.startswith(
        "If nothing is worse than allowed, with enough requests and users to tell, the candidate goes from 5 % to 10 %"
    )
    assert enough.missing == (
        "Only time: nothing is worse than allowed so far, and this step asks for no more requests and users."
    )
    assert explain(REPORTS["inner fallback"], at(1)).missing == (
        "Base answered 5.0 % of candidate's requests, 1.0 % at most for a pass."
    )


def test_what_only_base_can_bring_is_not_asked_of_the_candidate():
    said = explain(REPORTS["unknown"], at())

    assert said.missing == (
        "The usual answer time and the slowest answers: 616 more answers of base, before which nobody knows what is "
        "usual. The wait for the first word: 880 more answers of base, before which nobody knows what is usual. "
        "Base's own traffic brings them, not the candidate's."
    )
    assert explain(REPORTS["unknown at the end"], at(condition="inconclusive")).missing == said.missing


def test_a_look_without_an_answer_asks_for_more():
    assert explain(REPORTS["unsure"], at()).not_there_yet == "Not there yet: failed requests."
    assert explain(REPORTS["unsure"], at()).missing.startswith("More requests: it cannot be told yet")
    assert explain(REPORTS["beta"], at(4)).missing == (
        "Users' ratings: 300 more ratings and 100 more users of the candidate."
    )


def test_what_blocks_beside_the_checks_is_what_is_missing():
    assert explain(REPORTS["fallback"], at()).not_there_yet == "All checks are there."
    assert explain(REPORTS["fallback"], at()).missing == (
        "Base answered 5.0 % of candidate's requests, 1.0 % at most for a pass."
    )


def test_a_pass_leads_to_the_next_step_or_to_an_approval():
    passed = explain(REPORTS["pass"], at())
    waiting = explain(REPORTS["pass"], at(condition="awaiting_approval"))
    frozen = explain(REPORTS["pass"], at(condition="awaiting_thaw", wait_s=2 * DAY))

    assert passed.not_there_yet == "All are there."
    assert passed.missing == "Nothing."
    assert waiting.missing == "An approval: the step has passed."
    assert frozen.missing == "The end of the freeze window: the step has passed."
    assert waiting.next_decision == "As soon as somebody approves."
    assert waiting.then == "The candidate goes from 10 % to 25 % of users, once somebody has approved it."
    assert waiting.may_do == "Approve it (advance), pause, or roll back."
    assert frozen.next_decision == "At the end of the freeze window, in 2 d."
    assert explain(REPORTS["safety"], at(1)).not_there_yet == "Nothing went wrong, and this step asks for no more."


def test_a_plan_with_automatic_approval_asks_nobody():
    plan = replace(DEFAULT_PLAN, approval="auto")

    assert explain(REPORTS["pass"], replace(at(), plan=plan)).then == ("The candidate goes from 10 % to 25 % of users.")
    assert explain(REPORTS["ga"], at(5)).then.startswith("If everything is as good as allowed, nothing changes")


def test_a_failure_is_decided():
    said = explain(REPORTS["fail"], at())
    after = explain(REPORTS["killed"], at(condition="rolled_back"))

    assert said.not_there_yet == "It is decided, by failed requests: the candidate is worse than allowed."
    assert said.then == "The candidate is taken back to 0 %, and the people on call are told."
    assert after.not_there_yet == "It is decided, by failing users: the candidate is worse than allowed."
    assert after.next_decision == "None: the rollout has ended."
    assert explain(REPORTS["fail"], at(condition="awaiting_approval")).missing == "Nothing."


def test_a_hold_says_what_cannot_be_trusted():
    said = explain(REPORTS["hold"], at(1))
    paused = explain(REPORTS["latched"], at(condition="paused"))

    assert said.not_there_yet == "None can be judged: what was measured cannot be trusted at the moment."
    assert said.missing == "620 of 10,000 users are candidates, 500 expected."
    assert said.next_decision.startswith("Not before the measurements can be trusted again")
    assert said.then.startswith("The percent stays at 5 % until then")
    assert paused.missing == (
        "Records had been lost earlier in this step; restart it to begin anew. "
        "Somebody who resumes the rollout, which is paused."
    )
    assert paused.may_do.startswith("Mend the cause, and resume.")


def test_a_hold_hides_neither_an_approval_nor_a_freeze_window_nor_a_pause():
    waits = explain(REPORTS["latched"], at(condition="awaiting_approval"))
    frozen = explain(REPORTS["latched"], at(condition="awaiting_thaw", wait_s=2 * DAY))
    both = explain(REPORTS["latched"], at(condition="paused", paused_from="awaiting_approval"))

    assert waits.missing.endswith("restart it to begin anew. An approval: the step has passed.")
    assert waits.next_decision == "When the measurements can be trusted again and somebody approves."
    assert waits.then.startswith("The candidate goes from 10 % to 25 % of users, once somebody has approved it. Until")
    assert waits.may_do.startswith("Mend the cause, then approve it (advance). An approval before that goes against")
    assert "needs a reason" in waits.may_do
    assert frozen.next_decision.endswith("and the freeze window is over, in 2 d.")
    assert both.missing.endswith("Somebody who resumes the rollout, which is paused. An approval: the step has passed.")
    assert explain(REPORTS["hold"], at(condition="by_hand")).may_do.endswith("or start), or roll back.")


def test_a_pause_and_a_percent_by_hand_say_what_they_wait_for():
    paused = explain(REPORTS["pass"], at(condition="paused", paused_from="awaiting_thaw"))

    assert paused.missing == (
        "Somebody who resumes the rollout, which is paused. The end of the freeze window: the step has passed."
    )
    assert explain(REPORTS["waiting"], at(condition="by_hand")).missing.startswith("Nothing: the percent was set")


def test_what_stayed_open_is_for_a_person_to_decide():
    said = explain(REPORTS["inconclusive"], at(condition="inconclusive", next_look_s=None))
    thin = explain(REPORTS["thin"], at(next_look_s=None))

    assert said.missing == (
        "An answer: with all that was seen it cannot be told whether the candidate is as good as base."
    )
    assert said.next_decision == "When a person decides; by itself the candidate only goes back."
    assert "with a reason for the audit" in said.may_do
    assert thin.missing.startswith("The slowest answers: 1,593 more requests")


def test_each_standing_has_its_own_answers():
    assert explain(None, at(condition="idle")).missing == "The start."
    assert explain(None, at(condition="scheduled", wait_s=3600.0)).next_decision == "At the start, in 1 h."
    assert explain(None, at()).missing == "Requests of users."
    assert explain(REPORTS["waiting"], at(condition="paused")).may_do == "Resume, or roll back."
    assert explain(REPORTS["waiting"], at(condition="by_hand")).next_decision.startswith(
        "None: the percent was set by hand"
    )
    assert explain(REPORTS["certificate"], at(0, next_look_s=None)).missing == (
        "There is none: the candidate was not evaluated before traffic."
    )


def test_at_ga_the_candidate_is_watched():
    everybody, holdback = (
        explain(REPORTS[name], at(5, "at_ga", percent=percent)) for name, percent in (("ga", 100), ("holdback", 98))
    )

    assert everybody.not_there_yet == "None is waited for: the candidate is watched."
    assert everybody.then.startswith("If things get worse than they were with base, the people on call are told")
    assert everybody.missing == "Nothing."
    assert holdback.then.endswith("2 % of users stay with base to compare with.")


def test_the_first_moments_at_ga_wait_for_nothing():
    said = explain(None, at(5, "at_ga", percent=100))

    assert (said.not_there_yet, said.missing) == ("None is waited for: the candidate is watched.", "Nothing.")


def test_an_alarm_at_ga_is_told_without_figures_and_what_is_not_watched_is_named():
    alarmed, half, blind = (explain(REPORTS[name], at(5, "at_ga")) for name in ("alarmed", "half seen", "blind"))

    assert alarmed.missing == (
        "Nothing by itself. But there was an alarm at 2026-11-23 00:11:16Z, of the slowest answers: worse than with "
        "base, by more than is allowed. Find out whether the candidate or the world changed; `turnout gate check` has "
        "the figures."
    )
    assert half.missing == "Nothing. Not watched, for base had too little of it: users' ratings."
    assert blind.not_there_yet == "None is waited for, and none can be watched: of base there was too little."
