"""From a written plan to the one that is followed, and what is wrong with it."""

from __future__ import annotations

import tomllib

import pytest
from msgspec.structs import replace

from gateway.settings.load import from_tree
from gateway.settings.plans import plan_of, plan_problems
from gateway.settings.problem import SettingsError
from gateway.settings.schema import RolloutDefinition
from rollout.durations import DAY_S
from rollout.plan import DEFAULT_MARGINS, DEFAULT_PLAN
from rollout.schedule import parse_moment

HEAD = '[rollouts.sales]\nbase = "a"\ncandidate = "b"\n[rollouts.sales.plan]\n'
STEPS = 'steps = [{ phase = "canary", percent = 5, dwell = "20s" }, { phase = "ga", percent = 98, dwell = "1w" }]\n'


def written(text: str) -> RolloutDefinition:
    return from_tree(tomllib.loads(HEAD + text), "turnout.toml").rollouts["sales"]


def found(text: str) -> list[str]:
    return [str(problem) for problem in plan_problems("sales", written(text))]


def test_without_a_plan_the_default_one_is_followed():
    assert plan_of(RolloutDefinition(base="a", candidate="b")) == DEFAULT_PLAN
    assert found("") == []


def test_own_steps_stand_behind_the_certificates():
    plan = plan_of(written(STEPS))

    assert [(row.phase, row.percent, row.dwell_s, row.gate) for row in plan.rows] == [
        ("certificate", 0.0, None, "certificate"),
        ("canary", 5.0, 20.0, "canary"),
        ("ga", 98.0, 7 * DAY_S, "ga"),
    ]
    assert found(STEPS) == []


def test_what_a_margin_leaves_out_is_as_in_the_default_plan():
    plan = plan_of(written("[rollouts.sales.plan.margins]\np99 = { ratio = 1.5 }\nerrors = { min_users = 50 }\n"))

    assert plan.margins["p99"] == replace(DEFAULT_MARGINS["p99"], ratio=1.5)
    assert plan.margins["errors"] == replace(DEFAULT_MARGINS["errors"], min_users=50)
    assert plan.margins["p50"] == DEFAULT_MARGINS["p50"]


def test_strict_leaves_satisfaction_no_margin():
    assert plan_of(written("strict = true")).margins["satisfaction"].absolute == 0


def test_more_steps_than_there_may_be_are_refused_with_their_place():
    step = '{ phase = "canary", percent = 5, dwell = "20s" }'
    with pytest.raises(SettingsError, match=r"rollouts\.sales\.plan\.steps: 51 entries are more than the 50 that"):
        written(f"steps = [{', '.join([step] * 51)}]")


def test_all_that_a_plan_can_say_reaches_the_plan():
    rollout = written(
        'approval = "auto"\nsafety_users = 5\nsafety_requests = 50\nstart_at = "2026-12-01T08:00:00Z"\n'
        'freeze = [{ start = "fri 16:00", end = "mon 08:00" },'
        ' { start = "2026-12-20T00:00:00Z", end = "2027-01-03T00:00:00Z" }]\n'
    )
    plan = plan_of(replace(rollout, evidence="required"))

    assert plan.approval == "auto"
    assert plan.certified == "required"
    assert (plan.safety_users, plan.safety_requests) == (5, 50)
    assert plan.start_at == parse_moment("2026-12-01T08:00:00Z")
    assert [window.weekly for window in plan.freezes] == [True, False]
    assert [*plan_problems("sales", rollout)] == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'steps = [{ phase = "canary", percent = 5, dwell = "2 days" }, { phase = "ga", percent = 100 }]',
            'rollouts.sales.plan.steps[0].dwell: "2 days" is no length of time; write a number and a unit',
        ),
        (
            'steps = [{ phase = "canary", percent = 5 }, { phase = "ga", percent = 100 }]',
            'rollouts.sales.plan.steps[0].dwell: is missing; how long phase "canary" lasts',
        ),
        (
            'steps = [{ phase = "canary", percent = 5, dwell = "2d" }]',
            "rollouts.sales.plan.steps: do not end with general availability",
        ),
        ('start_at = "tomorrow"', 'rollouts.sales.plan.start_at: "tomorrow" is no moment; write date, time and offset'),
        (
            'freeze = [{ start = "fri 16:00", end = "2026-12-20T00:00:00Z" }]',
            "rollouts.sales.plan.freeze[0]: mixes a moment and a time of the week",
        ),
        (
            'freeze = [{ start = "fri 4 pm", end = "mon 08:00" }]',
            'rollouts.sales.plan.freeze[0].start: "fri 4 pm" is no time of the week',
        ),
        (
            'freeze = [{ start = "2026-12-20T00:00:00Z", end = "2026-12-19T00:00:00Z" }]',
            'rollouts.sales.plan.freeze[0].end: "2026-12-19T00:00:00Z" is not later than the start',
        ),
        (
            'freeze = [{ start = "mon 00:00", end = "mon 00:00" }]',
            "rollouts.sales.plan.freeze: leaves no minute of the week free",
        ),
        (
            "strict = true\nmargins.satisfaction.absolute = 0.02",
            "rollouts.sales.plan.strict: is true, which leaves satisfaction no margin",
        ),
        (
            "margins.errors.min_users = 5",
            "warning: rollouts.sales.plan.margins.errors.min_users: 5 users prove little",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_remedy(text: str, sentence: str):
    (problem,) = found(text)

    assert problem.startswith(sentence), problem
