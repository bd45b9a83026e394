from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.proxy.choice import choose
from gateway.proxy.evaluation import REASONS, Evaluated, Flags, Unevaluated
from gateway.proxy.identity import ANONYMOUS, User
from gateway.proxy.snapshot import Caller, View
from gateway.settings.schema import Application
from gateway.settings.snapshot import SplitEntry
from rollout.flag import user_hash
from tests.fakes.proxy import BASE, CANDIDATE, FLAG, SALES, SECRETS, decisions

SHOP = Caller(name="shop", application=Application())
ANN = User(b"ann", "targeting_key")
NAMED = replace(FLAG, flag="finetuned_model_rollout", phase="canary", generation=2)


def rollouts(**flags: Any) -> dict[str, SplitEntry]:
    return {name: SplitEntry(flag=replace(flag, rollout=name)) for name, flag in flags.items()}


def view(entries: dict[str, SplitEntry] | None = None, **changes: Any) -> View:
    decided = decisions(rollouts=entries or {SALES: SplitEntry(flag=NAMED)})
    return View(**{"decisions": decided, "source": "ledger", **changes})


def evaluated(key: str, by: View, user: User = ANN, caller: Caller = SHOP) -> Evaluated:
    answer = Flags(by.decisions).evaluate(key, by, caller, user)
    assert isinstance(answer, Evaluated), answer
    return answer


def unevaluated(key: str, by: View, user: User = ANN) -> Unevaluated:
    answer = Flags(by.decisions).evaluate(key, by, SHOP, user)
    assert isinstance(answer, Unevaluated), answer
    return answer


def test_the_percent_is_the_same_for_everybody_and_asks_for_no_user():
    answer = evaluated("finetuned_model_rollout", view(), ANONYMOUS)

    assert (answer.value, answer.variant, answer.reason) == (50.0, "percent", "STATIC")
    assert answer.metadata == {"version": 3, "generation": 2, "step": 1, "phase": "canary"}


@given(key=st.binary(min_size=1, max_size=512), percent=st.integers(0, 10_000).map(lambda bucket: bucket / 100))
def test_the_model_is_the_one_that_a_request_of_the_user_gets(key: bytes, percent: float):
    by = view({SALES: SplitEntry(flag=replace(NAMED, percent=percent))})
    user = User(key, "targeting_key")
    route = by.decisions.route(SALES, live=True)
    assert route is not None
    choice = choose(by, route, user)

    answer = evaluated("finetuned_model", by, user)

    assert (answer.value, answer.variant, answer.reason) == (choice.deployment.model, choice.arm, "SPLIT")


def test_a_forced_user_is_a_match():
    forced = {user_hash(SECRETS.user_hash, b"ann").hex(): "candidate"}
    by = view({SALES: SplitEntry(flag=replace(NAMED, percent=0.0, forced=forced))})

    answer = evaluated("finetuned_model", by)

    assert (answer.value, answer.variant, answer.reason) == (CANDIDATE, "candidate", "TARGETING_MATCH")


@pytest.mark.parametrize(
    ("changes", "percent", "reasons"),
    [
        ({"killed": True}, 0.0, ("DISABLED", "DISABLED")),
        ({"fresh": False}, 100.0, ("UNKNOWN", "UNKNOWN")),
        ({"source": "default"}, 100.0, ("UNKNOWN", "UNKNOWN")),
    ],
)
def test_a_state_that_is_not_the_usual_one_is_told_in_ofreps_words(
    changes: dict[str, Any], percent: float, reasons: tuple[str, str]
):
    by = view({SALES: SplitEntry(flag=replace(NAMED, percent=100.0))}, **changes)

    answers = evaluated("finetuned_model_rollout", by), evaluated("finetuned_model", by)

    assert answers[0].value == percent
    assert (answers[0].reason, answers[1].reason) == reasons
    assert answers[1].value == (CANDIDATE if by.source == "ledger" and not by.killed else BASE)


def test_every_reason_of_ours_has_a_word_of_ofreps():
    assert set(REASONS.values()) == {"SPLIT", "TARGETING_MATCH", "DISABLED", "UNKNOWN"}


def test_a_model_is_told_to_nobody_in_particular_only_where_a_policy_says_for_whom():
    assert unevaluated("finetuned_model", view(), ANONYMOUS).error_code == "TARGETING_KEY_MISSING"
    assert evaluated("finetuned_model", view(), User(b"shop", "application")).variant in {"base", "candidate"}


def test_the_bucket_is_told_where_every_answer_tells_it_and_the_salt_never():
    shown = Caller(name="shop", application=Application(expose=("bucket",)))
    by = view({SALES: SplitEntry(flag=replace(NAMED, salt="pepper-and-salt"))})

    assert "bucket" not in evaluated("finetuned_model", by).metadata
    assert evaluated("finetuned_model", by, caller=shown).metadata["bucket"] in range(10_000)
    assert "pepper-and-salt" not in repr(Flags(by.decisions).all(by, shown, ANN))


def test_a_flag_of_another_name_has_its_model_beside_it():
    by = view(rollouts(sales=replace(NAMED, flag="split"), support=replace(NAMED, flag="_rollout")))

    assert evaluated("split", by).variant == "percent"
    assert evaluated("split_model", by).value in {BASE, CANDIDATE}
    assert evaluated("_rollout_model", by).value in {BASE, CANDIDATE}


def test_what_two_rollouts_call_alike_is_told_apart_by_the_rollout():
    by = view(rollouts(sales=NAMED, support=replace(NAMED, percent=7.0)))

    answer = unevaluated("finetuned_model_rollout", by)

    assert answer.error_code == "GENERAL"
    assert "name one of them: sales:finetuned_model_rollout, support:finetuned_model_rollout." in answer.error_details
    assert evaluated("support:finetuned_model_rollout", by).value == 7.0
    assert [one.key for one in Flags(by.decisions).all(by, SHOP, ANN)] == [
        "sales:finetuned_model_rollout",
        "sales:finetuned_model",
        "support:finetuned_model_rollout",
        "support:finetuned_model",
    ]


def test_many_namesakes_are_counted():
    by = view(rollouts(**{f"r{number}": NAMED for number in range(7)}))

    assert "7 rollouts have a flag 'finetuned_model'" in unevaluated("finetuned_model", by).error_details
    assert unevaluated("finetuned_model", by).error_details.endswith("r4:finetuned_model and 2 more.")
    assert "and 9 more." in unevaluated("nothing", by).error_details


def test_a_flag_that_does_not_exist_is_said_with_those_that_do():
    answer = unevaluated("fine", view())

    assert answer.error_code == "FLAG_NOT_FOUND"
    assert answer.error_details.startswith("There is no flag 'fine'; there are: finetuned_model_rollout, sales:fine")


def test_all_flags_come_by_every_key_that_is_clear_and_say_what_they_lack():
    by = view()

    answers = Flags(by.decisions).all(by, SHOP, ANONYMOUS)

    assert [one.key for one in answers] == [
        "finetuned_model_rollout",
        "sales:finetuned_model_rollout",
        "finetuned_model",
        "sales:finetuned_model",
    ]
    assert [isinstance(one, Unevaluated) for one in answers] == [False, False, True, True]


def test_flags_are_of_one_snapshot():
    one = decisions()

    assert Flags(one).is_of(one)
    assert not Flags(one).is_of(decisions())
