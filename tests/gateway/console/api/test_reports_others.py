"""Cost, failures and traffic over HTTP: of one rollout, of all traffic, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.console import SALES, RunningConsole, opened, serving
from tests.fakes.handmade_lake import HandmadeLake, record

KINDS = ("cost", "errors", "traffic")


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    return HandmadeLake(tmp_path / "lake")


@pytest.fixture
def console(tmp_path: Path, lake: HandmadeLake) -> Iterator[RunningConsole]:
    with opened(tmp_path) as control, serving(control, lake.root) as running:
        yield running


@pytest.fixture
def analyst(console: RunningConsole) -> Iterator[httpx.Client]:
    with console.client(console.key("analyst")) as client:
        yield client


def fill(lake: HandmadeLake) -> None:
    split = {"rollout": SALES, "generation": 1, "step": 1, "percent": 50.0, "reason": "split", "bucket": 1}
    for number, arm in ((1, "base"), (2, "candidate"), (3, "candidate")):
        facts = {**split, "arm_assigned": arm, "user_hash": number.to_bytes(16), "application": "web"}
        lake.put([record(number, **facts, cost_usd=0.25, outcome="timeout" if number == 3 else "ok")])
    lake.put([record(4, **{**split, "generation": 2}, arm_assigned="base", user_hash=b"4" * 16, cost_usd=1.0)])
    lake.put([record(5, application="batch", cost_usd=2.0, outcome="malformed"), record(6, purpose="eval")])


def told(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_without_a_rollout_cost_and_failures_are_those_of_all_traffic(analyst: httpx.Client, lake: HandmadeLake):
    fill(lake)
    cost, errors = (told(analyst.get(f"/api/v1/reports/{kind}")) for kind in ("cost", "errors"))

    assert (cost["total"]["requests"], cost["total"]["cost_usd"]) == (5, 3.75)
    assert {one["name"]: one["cost_usd"] for one in cost["applications"]} == {"web": 0.75, "batch": 2.0, None: 1.0}
    assert [one["rollout"] for one in cost["projections"]] == [SALES]
    assert (errors["requests"], errors["failed"], errors["left_out_not_live"]) == (5, 2, 1)


def test_of_a_rollout_they_are_those_of_its_present_generation(analyst: httpx.Client, lake: HandmadeLake):
    fill(lake)
    named = {kind: told(analyst.get(f"/api/v1/reports/{kind}", params={"rollout": SALES})) for kind in KINDS}
    former = told(analyst.get("/api/v1/reports/cost", params={"generation": 2}))

    assert named["cost"]["total"]["cost_usd"] == 0.75
    assert (named["errors"]["requests"], named["errors"]["failed"]) == (3, 1)
    assert (named["traffic"]["base_requests"], named["traffic"]["candidate_requests"]) == (1, 2)
    assert (former["asked"]["rollout"], former["asked"]["generation"], former["total"]["requests"]) == (SALES, 2, 1)


def test_traffic_is_that_of_the_only_rollout(analyst: httpx.Client, lake: HandmadeLake):
    fill(lake)
    found = told(analyst.get("/api/v1/reports/traffic"))

    assert (found["asked"]["rollout"], found["steps"][0]["percent"], found["buckets"]["users"]) == (SALES, 50.0, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_what_no_request_has_is_refused_with_what_there_is(analyst: httpx.Client, lake: HandmadeLake, kind: str):
    empty = analyst.get(f"/api/v1/reports/{kind}", params={"application": "web"})
    fill(lake)
    unknown = analyst.get(f"/api/v1/reports/{kind}", params={"rollout": SALES, "application": "shop"})
    step = analyst.get(f"/api/v1/reports/{kind}", params={"rollout": SALES, "step": 9})
    nobody = analyst.get(f"/api/v1/reports/{kind}", params={"rollout": "nobody"})
    word = analyst.get(f"/api/v1/reports/{kind}", params={"as_treated": "true"})

    assert empty.status_code == 200
    assert [one.status_code for one in (unknown, step, nobody)] == [404, 404, 404]
    assert unknown.json()["error"]["message"] == "no request of the application 'shop'; there are: web"
    assert step.json()["error"]["code"] == "step_not_found"
    assert (word.status_code, word.json()["error"]["param"]) == (400, "as_treated")


def test_each_report_is_divided_by_what_there_is(analyst: httpx.Client, lake: HandmadeLake):
    fill(lake)
    by = {kind: told(analyst.get(f"/api/v1/reports/{kind}", params={"by": "application"})) for kind in KINDS}
    unknown = analyst.get("/api/v1/reports/cost", params={"by": "weekday"})

    assert [(one["name"], one["arm"]) for one in by["cost"]["parts"]] == [
        ("batch", None),
        (None, "base"),
        ("web", "base"),
        ("web", "candidate"),
    ]
    assert sorted(one["part"] for one in by["errors"]["groups"]) == ["batch", "web"]
    assert [(one["name"], one["base_users"], one["candidate_users"]) for one in by["traffic"]["parts"]] == [
        ("web", 1, 2)
    ]
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "by")


@pytest.mark.parametrize("kind", KINDS)
def test_an_analyst_of_one_application_is_refused(console: RunningConsole, kind: str):
    made = console.control.keys.create_key("analyst", "default", "one", actor="test")
    with console.client(made.key) as client:
        answer = client.get(f"/api/v1/reports/{kind}")

    assert (answer.status_code, answer.json()["error"]["message"]) == (
        403,
        "this key may ask in SQL about the application 'default', and nothing else",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_lake_that_cannot_be_read_is_said(analyst: httpx.Client, lake: HandmadeLake, kind: str):
    (lake.root / "incoming/w0-b1-000009-0-1.parquet").write_bytes(b"nonsense")
    answer = analyst.get(f"/api/v1/reports/{kind}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_report")
