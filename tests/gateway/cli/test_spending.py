from __future__ import annotations

import pytest

from analytics.costs import CostReport, DealtSpent, Spent, UnknownCost
from analytics.narrowing import Narrowing
from analytics.projection import Estimate, Month, Projection
from gateway.cli.spending import write_cost


def spent(name: str | None, usd: float | None, priced: int = 100, unknown: int = 0) -> Spent:
    billable = priced + unknown
    return Spent(
        name=name,
        requests=billable,
        priced=priced,
        cost_usd=usd,
        cost_per_request_usd=None if usd is None else usd / priced,
        cost_unknown=unknown,
        unknown_share=unknown / billable if billable else None,
    )


def dealt(name: str | None, usd: float, rollout: str | None = "sales", generation: int | None = 1) -> DealtSpent:
    plain = spent(name, usd)
    facts = {field: getattr(plain, field) for field in Spent.__struct_fields__}
    return DealtSpent(rollout=rollout, generation=generation, **facts)


def month(difference: tuple[float, float | None, float | None], by_user: Month | None = None) -> Projection:
    base, (value, low, high) = 100.0, difference
    found = Month(
        base=Estimate(value=base, low=90.0, high=110.0),
        candidate=Estimate(value=base + value),
        difference=Estimate(value=value, low=low, high=high),
    )
    return Projection(
        rollout="sales",
        generation=1,
        days=7.04,
        days_of_both=6.5,
        base_users=40,
        candidate_users=50,
        refused=None,
        monthly_requests=51_000.4,
        present_usd=98.5,
        by_request=found,
        by_user=by_user,
    )


def report(*, projections: tuple[Projection, ...] = (), **facts: object) -> CostReport:
    known = {
        "asked": Narrowing(rollout="sales", generation=1),
        "as_of": 7,
        "first_at": 0,
        "last_at": 3_600_000_000,
        "total": spent(None, 1.5, priced=300, unknown=100),
        "arms": [dealt("base", 1.0), dealt("candidate", 0.5), dealt("without_user", 0.25)],
        "days": [spent("1970-01-01", 1.5)],
        "applications": [spent("web", 1.5), spent(None, None, priced=0, unknown=3)],
        "models": [spent("gpt\x1b", 1.5)],
        "unknown": [UnknownCost(reason="no_price", model=f"m{number}", requests=9 - number) for number in range(6)],
        "left_out": [spent("eval", 0.75), spent("forced", None)],
    }
    return CostReport(**{**known, "projections": projections, **facts})


def test_sums_stand_by_arm_day_application_and_model_and_the_unknown_is_said(capsys: pytest.CaptureFixture[str]):
    write_cost(report())
    said = capsys.readouterr().out

    assert said.startswith(
        "Rollout sales, generation 1: 400 requests, 1970-01-01 00:00:00Z to 1970-01-01 01:00:00Z\n"
        "total cost: $1.50, of 300 requests of known cost\n"
        "unknown: what 100 more requests cost, 25.0 % of those that may have cost something; it is in no sum: "
        "9 no_price (m0), 8 no_price (m1), 7 no_price (m2), 6 no_price (m3) and 2 more kinds\n"
        "left out: 100 requests made for eval, $0.75\n"
        "left out: 100 requests of pinned users (--forced takes them in)\n"
    )
    lines = [line.split() for line in said.splitlines()]
    assert ["base", "100", "$1.00", "$0.0100", "0"] in lines
    assert ["without", "a", "user", "key", "100", "$0.25", "$0.0025", "0"] in lines
    assert ["(none)", "3", "-", "-", "3"] in lines
    assert ["gpt\\x1b", "100", "$1.50", "$0.015", "0"] in lines


def test_of_all_traffic_each_part_names_its_rollout(capsys: pytest.CaptureFixture[str]):
    write_cost(report(asked=Narrowing(), arms=[dealt("base", 1.0), dealt(None, 0.5, None, None)]))
    said = capsys.readouterr().out

    assert said.startswith("All traffic: ")
    assert "\nsales (1): base " in said
    assert "\nin no rollout " in said


def test_nothing_known_has_no_sum(capsys: pytest.CaptureFixture[str]):
    nothing = spent(None, None, priced=0)
    write_cost(report(total=nothing, first_at=None, last_at=None, left_out=[], unknown=[]))
    unknown = [UnknownCost(reason=None, model=None, requests=5)]
    write_cost(report(total=spent(None, None, priced=0, unknown=5), left_out=[], unknown=unknown))
    said = capsys.readouterr().out

    assert said.startswith("Rollout sales, generation 1: no request yet\nRollout sales")
    assert "total cost" not in said
    assert "it is in no sum: 5 for no known reason (no model answered)\n" in said


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((-20.0, -30.0, -10.0), "A month of the candidate saves $20.00.\n"),
        ((20.0, 10.0, 30.0), "A month of the candidate costs $20.00 more.\n"),
        ((-5.0, -30.0, 20.0), "Whether the candidate saves is not known yet: up to $30.00 less or $20.00 more.\n"),
        ((-5.0, None, None), "A month of the candidate saves $5.00; without an interval, for nothing varied.\n"),
    ],
)
def test_a_month_says_what_it_stands_on(
    capsys: pytest.CaptureFixture[str], difference: tuple[float, float | None, float | None], words: str
):
    write_cost(report(projections=(month(difference),)))
    said = capsys.readouterr().out

    assert "\n30 days of sales, generation 1, with one arm alone\n" in said
    assert "$100.00  ($90.00 to $110.00)" in said
    assert words in said
    assert (
        "Extrapolated from 7.0 days of traffic (6.5 with both arms), as 51,000 requests a month; "
        "at the split as it was: $98.50.\n" in said
    )
    assert "Not told by user: the percentage moved" in said


def test_cost_per_user_is_a_line_of_its_own_and_a_refusal_a_sentence(capsys: pytest.CaptureFixture[str]):
    told = month((-20.0, -30.0, -10.0))
    refused = Projection(
        rollout="other", generation=3, days=0.1, days_of_both=0.1, base_users=1, candidate_users=1, refused="too short"
    )
    write_cost(report(projections=(month((-20.0, -30.0, -10.0), told.by_request), refused)))
    said = capsys.readouterr().out

    assert "\nby cost per user " in said
    assert "Not told by user" not in said
    assert "\n30 days of other, generation 3, with one arm alone\nnot told: too short\n" in said
