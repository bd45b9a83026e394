"""Plans: the default one as documented, and everything that another may have wrong."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from rollout.durations import DAY_S
from rollout.phase import Margin, Plan, Row
from rollout.plan import CERTIFICATE, DEFAULT_MARGINS, DEFAULT_PLAN, plan_faults
from rollout.schedule import FreezeWindow

GA = Row(phase="ga", percent=100.0, dwell_s=None, gate="ga")


def row(**given: Any) -> Row:
    return Row(**{"phase": "canary", "percent": 5.0, "dwell_s": DAY_S, "gate": "canary", **given})


def plan(*rows: Row, **given: Any) -> Plan:
    return Plan(**{"rows": (CERTIFICATE, *rows), "margins": DEFAULT_MARGINS, **given})


def found(plan: Plan) -> list[str]:
    return [f"{'.'.join(map(str, fault.place))} {fault.message}" for fault in plan_faults(plan)]


def test_the_default_plan_is_the_documented_one_and_sound():
    rows = [(row.phase, row.percent, row.dwell_s, row.gate) for row in DEFAULT_PLAN.rows]

    assert rows == [
        ("certificate", 0.0, None, "certificate"),
        ("canary", 5.0, 2 * DAY_S, "canary"),
        ("canary", 10.0, 5 * DAY_S, "canary"),
        ("beta", 25.0, 7 * DAY_S, "beta"),
        ("beta", 50.0, 7 * DAY_S, "beta"),
        ("ga", 100.0, None, "ga"),
    ]
    assert found(DEFAULT_PLAN) == []
    assert [DEFAULT_PLAN.is_proof(number) for number in range(6)] == [True, False, True, False, True, True]
    assert DEFAULT_PLAN.rows[3].asked == ("errors", "p50", "p99", "ttft", "satisfaction")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([row(percent=0.0), GA], "steps.0.percent 0 is not above 0 and at most 100"),
        ([row(percent=float("nan")), GA], "steps.0.percent nan is not above 0"),
        ([row(percent=2.555), GA], "steps.0.percent 2.555 is finer than a bucket (0.01 %); write 2.56"),
        ([row(percent=0.001), GA], "steps.0.percent 0.001 is finer than a bucket (0.01 %); write 0.01"),
        ([row(percent=100.0), GA], 'steps.0.percent 100 leaves no base to compare with in phase "canary"'),
        ([row(), row(), GA], "steps.1.percent 5 is not more than the 5 of the step before; percents rise"),
        ([row(phase="beta"), row(percent=6.0), GA], 'steps.1.phase "canary" cannot follow "beta"'),
        ([row(dwell_s=None), GA], 'steps.0.dwell is missing; how long phase "canary" lasts at least'),
        ([row(dwell_s=0.5), GA], "steps.0.dwell 0.5 seconds is not within 1 second and 365 days"),
        ([row(), replace(GA, dwell_s=DAY_S)], "steps.1.dwell is for a window beside a holdback"),
        ([row(phase="certificate", gate="certificate"), GA], 'steps.0.phase "certificate" is added by Turnout'),
        ([row(gate="ga"), GA], 'steps.0.gate "ga" is no gate of phase "canary"'),
        ([row(), replace(GA, gate="beta")], 'steps.1.gate "beta" is no gate of phase "ga"'),
        ([row(checks=()), GA], "steps.0.checks is empty, and a gate without checks never passes"),
        ([row(checks=("p50", "p50")), GA], "steps.0.checks names a check twice"),
        ([row()], "steps do not end with general availability; add"),
        ([], "steps do not end with general availability; add"),
        ([row(), replace(GA, percent=98.0), GA], 'steps.2.phase "ga" stands there already'),
        ([GA], "steps have none that asks for proof before ga"),
    ],
)
def test_a_step_that_cannot_be_is_named_with_the_remedy(rows: list[Row], sentence: str):
    faults = found(plan(*rows))

    assert any(fault.startswith(sentence) for fault in faults), faults


def test_a_plan_may_have_steps_of_seconds_a_holdback_and_gates_of_its_own():
    rows = (
        row(dwell_s=10.0, percent=2.55),
        row(phase="beta", gate="canary", percent=50.0, checks=("errors",)),
        replace(GA, percent=98.0, dwell_s=7 * DAY_S),
    )

    assert found(plan(*rows)) == []


def test_the_certificates_row_comes_first():
    assert found(replace(DEFAULT_PLAN, rows=DEFAULT_PLAN.rows[1:])) == [
        "steps do not begin with the certificate's row; Turnout adds it, so leave it out"
    ]


@pytest.mark.parametrize(
    ("check", "margin", "sentence"),
    [
        ("p99", Margin(ratio=0.9), "margins.p99.ratio 0.9 is not within 1 and 10"),
        ("errors", Margin(relative=-0.1), "margins.errors.relative -0.1 is not within 0 and 10"),
        ("satisfaction", Margin(absolute=1.0), "margins.satisfaction.absolute 1 is not from 0 to below 0.5"),
        ("errors", Margin(absolute=0.998), "margins.errors.absolute 0.998 is not from 0 to below 0.5"),
        ("errors", Margin(), "margins.errors tolerates nothing, so an equal candidate never passes"),
        (
            "p50",
            Margin(ratio=1.1, min_requests=1_000_000_000),
            "margins.p50.min_requests 1000000000 never come together in the 10 d that",
        ),
        ("p50", Margin(min_users=0), "margins.p50.min_users 0 is not 1 or more"),
        ("errors", Margin(absolute=0.01, min_requests=0), "margins.errors.min_requests 0 is not 1 or more"),
    ],
)
def test_a_margin_that_cannot_be_is_named(check: Any, margin: Margin, sentence: str):
    (fault,) = found(replace(DEFAULT_PLAN, margins={**DEFAULT_MARGINS, check: margin}))

    assert fault.startswith(sentence)


def test_a_demonstrations_plan_and_a_check_that_nobody_asks_for_may_be_short_and_narrow():
    rows = (row(dwell_s=1.0, checks=("errors",)), row(percent=6.0, dwell_s=1.0, checks=("p50",)), GA)
    margins = {**DEFAULT_MARGINS, "errors": Margin(), "ttft": Margin(ratio=1.1, min_requests=1_000_000_000)}

    assert found(plan(*rows, margins=margins, safety_requests=1_000_000)) == []
    (fault,) = found(plan(*rows, margins=margins, safety_users=1_000_001))
    assert fault.startswith("safety_users 1000001 never come together in the 2 s that a step asking for them runs at")


def test_every_check_has_a_margin():
    without = {check: margin for check, margin in DEFAULT_MARGINS.items() if check != "p50"}

    assert found(replace(DEFAULT_PLAN, margins=without)) == [
        "margins.p50 is missing; every check has a margin, asked for or not"
    ]


def test_some_minute_of_the_week_is_free():
    always = FreezeWindow(start=0, end=0, weekly=True)

    assert found(replace(DEFAULT_PLAN, freezes=(always,))) == [
        "freeze leaves no minute of the week free, so nothing ever starts; shorten a window"
    ]
