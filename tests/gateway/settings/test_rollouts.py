"""Rollouts: arms that exist, and public names that lead to one place."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.settings.rollouts import rollout_problems
from gateway.settings.schema import Configuration, Model, RolloutDefinition, Server

MODELS = {name: Model(upstream="openai") for name in ("gpt-4o-mini", "gpt-4o", "ft:gpt-4o-mini:acme")}


def rollout(**given: Any) -> RolloutDefinition:
    return RolloutDefinition(**{"base": "gpt-4o-mini", "candidate": "ft:gpt-4o-mini:acme", **given})


def found(**rollouts: RolloutDefinition) -> list[str]:
    configuration = Configuration(models=MODELS, rollouts=rollouts)
    return [str(problem) for problem in rollout_problems(configuration)]


def test_a_rollout_between_two_models_is_sound():
    assert found(sales=rollout(also_for=("gpt-4o-mini", "sales-legacy"))) == []


def test_two_rollouts_may_share_a_flag_and_a_model():
    assert found(sales=rollout(), support=rollout()) == []


@pytest.mark.parametrize("arm", ["base", "candidate"])
def test_an_arm_that_is_no_configured_model_is_named_with_the_table_to_add(arm: str):
    assert found(sales=rollout(**{arm: "ft:other"})) == [
        f'rollouts.sales.{arm}: "ft:other" is not a configured model; add [models."ft:other"]'
    ]


def test_a_misspelt_arm_gets_the_nearest_model():
    assert found(sales=rollout(base="gpt-4o-mni"))[0].endswith('add [models."gpt-4o-mni"]; did you mean "gpt-4o-mini"?')


def test_base_and_candidate_differ():
    assert found(sales=rollout(candidate="gpt-4o-mini")) == [
        'rollouts.sales.candidate: "gpt-4o-mini" is the base too; name the fine-tuned model'
    ]


def test_a_rollout_has_no_models_name():
    assert found(**{"gpt-4o-mini": rollout()}) == [
        (
            "rollouts.gpt-4o-mini: a model has this name too; "
            'name the rollout differently and give it also_for = ["gpt-4o-mini"]'
        )
    ]


def test_a_name_leads_to_one_rollout():
    lines = found(sales=rollout(also_for=("support", "chat")), support=rollout(also_for=("chat",)))

    assert lines == [
        (
            'rollouts.sales.also_for[0]: "support" leads to rollout "support" already; a name leads to one rollout: '
            "take it out of one"
        ),
        (
            'rollouts.support.also_for[0]: "chat" leads to rollout "sales" already; a name leads to one rollout: '
            "take it out of one"
        ),
    ]


@pytest.mark.parametrize("also_for", [("sales",), ("chat", "chat")])
def test_a_name_stands_once(also_for: tuple[str, ...]):
    lines = found(sales=rollout(also_for=also_for))

    assert lines == [
        f'rollouts.sales.also_for[{len(also_for) - 1}]: "{also_for[-1]}" leads to this rollout already; take it out'
    ]


@pytest.mark.parametrize("alias", ["", "a b", "näme", "\x00"])
def test_a_public_name_is_visible_ascii(alias: str):
    assert len(found(sales=rollout(also_for=(alias,)))) == 1


@pytest.mark.parametrize("alias", ["gpt-4o", "ft:gpt-4o-mini:acme"])
def test_a_name_of_a_model_that_is_not_the_base_is_a_warning(alias: str):
    lines = found(sales=rollout(also_for=(alias,)))

    assert len(lines) == 1
    assert lines[0].startswith(f'warning: rollouts.sales.also_for[0]: "{alias}" is not this rollout\'s base, so its')


def test_a_flags_name_fits_into_an_address():
    assert found(sales=rollout(flag="a b")) == [
        'rollouts.sales.flag: "a b" is no flag\'s name; use 1 to 128 of A-Z a-z 0-9 . _ -'
    ]


def test_a_salt_for_two_rollouts_is_a_warning():
    assert found(sales=rollout(salt="s"), support=rollout(salt="s")) == [
        (
            'warning: rollouts.support.salt: rollout "sales" has the same salt, so the same users are first in both; '
            "leave salt out"
        )
    ]


@pytest.mark.parametrize(
    ("of_host", "of_candidate", "warns"), [(8, None, True), (8, 8, True), (8, 7, False), (None, None, False)]
)
def test_a_candidate_that_may_take_every_place_of_the_host_is_a_warning(
    of_host: int | None, of_candidate: int | None, *, warns: bool
):
    models = {**MODELS, "ft:gpt-4o-mini:acme": Model(upstream="openai", max_concurrent=of_candidate)}
    configuration = Configuration(server=Server(max_concurrent=of_host), models=models, rollouts={"sales": rollout()})

    assert [str(problem) for problem in rollout_problems(configuration)] == [
        (
            'warning: models."ft:gpt-4o-mini:acme".max_concurrent: a slow candidate may take all 8 places of the host '
            "(server.max_concurrent); write fewer than that"
        )
    ] * warns


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"provider": "acme.flags"}, "is no place in Python"),
        ({"provider": "acme flags:x"}, "is no place in Python"),
        ({"provider": "../x:y"}, "is no place in Python"),
        ({"provider": "a:b", "options": {"a b": 1}}, "cannot be an argument's name"),
        ({"provider": "a:b", "secrets": {"a-b": {"env": "X"}}}, "cannot be an argument's name"),
        ({"provider": "a:b", "options": {"a": [1]}}, "cannot be passed; write text, a number, true or false"),
        ({"provider": "a:b", "options": {"a": float("nan")}}, "cannot be passed"),
        ({"provider": "a:b", "options": {"a": 1}, "secrets": {"a": {"env": "X"}}}, "stands in options too"),
    ],
)
def test_a_foreign_flag_that_could_not_be_asked_is_refused(keys: dict[str, Any], message: str):
    rollout = {"base": "gpt", "candidate": "tuned", "percent_from": keys}
    configuration = msgspec.convert(
        {"models": {"gpt": {"upstream": "o"}, "tuned": {"upstream": "o"}}, "rollouts": {"r": rollout}}, Configuration
    )

    [problem] = rollout_problems(configuration)
    assert problem.path.startswith("rollouts.r.percent_from")
    assert message in problem.message


def test_a_foreign_flag_may_have_arguments_of_every_plain_kind():
    keys = {"provider": "acme.flags:Made.one", "options": {"a": "x", "b": 1, "c": 0.5, "d": True}}
    rollout = {"base": "gpt", "candidate": "tuned", "percent_from": keys}
    configuration = msgspec.convert(
        {"models": {"gpt": {"upstream": "o"}, "tuned": {"upstream": "o"}}, "rollouts": {"r": rollout}}, Configuration
    )

    assert not list(rollout_problems(configuration))
