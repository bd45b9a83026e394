"""The shape of a plan in the file: what is unknown or of another type is named."""

from __future__ import annotations

import tomllib

import pytest

from gateway.settings.load import from_tree
from gateway.settings.plan_schema import PlanDefinition
from gateway.settings.problem import SettingsError

HEAD = '[rollouts.sales]\nbase = "a"\ncandidate = "b"\n[rollouts.sales.plan]\n'


def read(text: str) -> PlanDefinition:
    return from_tree(tomllib.loads(HEAD + text), "turnout.toml").rollouts["sales"].plan


def test_without_a_word_it_is_the_default_plan():
    assert read("") == PlanDefinition()


def test_a_plan_is_read_as_people_write_it():
    plan = read(
        'steps = [{ phase = "canary", percent = 5, dwell = "2d", checks = ["errors"] }]\n'
        'freeze = [{ start = "fri 16:00", end = "mon 08:00" }]\n'
        "strict = true\n"
        "[rollouts.sales.plan.margins.errors]\nrelative = 1\n"
    )

    assert plan.steps[0].percent == 5
    assert plan.steps[0].dwell == "2d"
    assert plan.freeze[0].end == "mon 08:00"
    assert plan.margins.errors.relative == 1
    assert plan.margins.p99.ratio is None
    assert plan.strict


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('aproval = "auto"', 'rollouts.sales.plan: unknown key "aproval"; did you mean "approval"?'),
        ('approval = "two"', 'rollouts.sales.plan.approval: "two" is not known; write "auto" or "one"'),
        ('steps = [{ percent = 5, dwell = "2d" }]', 'rollouts.sales.plan.steps[0]: "phase" is missing; add phase = '),
        ('steps = [{ phase = "canary" }]', 'rollouts.sales.plan.steps[0]: "percent" is missing; add percent = 5'),
        (
            'steps = [{ phase = "certificate", percent = 5 }]',
            'rollouts.sales.plan.steps[0].phase: "certificate" is not known; write "beta" or "canary" or "ga"',
        ),
        (
            'steps = [{ phase = "canary", percent = 5, dwell = 172800 }]',
            'rollouts.sales.plan.steps[0].dwell: 172800 does not fit; write a length of time in quotes, such as "2d"',
        ),
        (
            'steps = [{ phase = "canary", percent = nan, dwell = "2d" }]',
            "rollouts.sales.plan.steps[0].percent: nan does not fit; write a finite number above 0 to 100",
        ),
        (
            'steps = [{ phase = "canary", percent = 5, checks = ["p95"] }]',
            'rollouts.sales.plan.steps[0].checks[0]: "p95" is not known',
        ),
        (
            "start_at = 2026-12-01T08:00:00Z",
            "rollouts.sales.plan.start_at: 2026-12-01 08:00:00+00:00 does not fit; write a moment in quotes",
        ),
        ('freeze = [{ start = "fri 16:00" }]', 'rollouts.sales.plan.freeze[0]: "end" is missing; add end'),
        (
            "[rollouts.sales.plan.margins.errors]\nratio = 2",
            'rollouts.sales.plan.margins.errors: unknown key "ratio"; did you mean "relative"?',
        ),
        (
            "[rollouts.sales.plan.margins.p99]\nratio = 0.5",
            "rollouts.sales.plan.margins.p99.ratio: 0.5 does not fit; write a finite number from 1 to 10",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_the_remedy(text: str, sentence: str):
    with pytest.raises(SettingsError) as refused:
        read(text)

    assert str(refused.value).startswith(f"turnout.toml: {sentence}"), refused.value
