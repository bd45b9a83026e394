from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.fakes.console import SALES, RunningConsole, opened, serving
from tests.fakes.handmade_lake import HandmadeLake, record


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


def put(lake: HandmadeLake, *numbers: int, generation: int = 1, **more: object) -> None:
    facts = {**more, "rollout": SALES, "generation": generation, "arm_assigned": "base", "reason": "split", "bucket": 1}
    lake.put([record(number, **facts, user_hash=number.to_bytes(16)) for number in numbers])


def test_the_only_rollout_needs_no_name_and_its_flag_is_one(analyst: httpx.Client, lake: HandmadeLake):
    put(lake, 1, 2)
    found = analyst.get("/api/v1/reports/compare").json()
    named = analyst.get("/api/v1/reports/compare", params={"rollout": SALES}).json()

    assert (found["rollout"], found["generation"], found["base"]["requests"]) == (SALES, 1, 2)
    assert (named["base"], named["candidate"]["requests"]) == (found["base"], 0)


def test_what_comes_to_the_lake_later_is_in_the_next_report(analyst: httpx.Client, lake: HandmadeLake):
    before = analyst.get("/api/v1/reports/compare").json()["base"]["requests"]
    put(lake, 1)

    assert (before, analyst.get("/api/v1/reports/compare").json()["base"]["requests"]) == (0, 1)


def test_times_and_a_generation_narrow_it(analyst: httpx.Client, lake: HandmadeLake):
    put(lake, 1, 2, 3)
    put(lake, 4, generation=7)
    spans = [
        {"since": "2026-09-21T14:13:22Z"},
        {"until": "2026-09-21T16:13:22+02:00"},
        {"since": "2026-09-21T14:13:22", "until": "2026-09-21T14:13:23"},
        {"generation": "7"},
        {"since": "2026-09-22"},
    ]
    found = [analyst.get("/api/v1/reports/compare", params=span).json()["base"]["requests"] for span in spans]

    assert found == [2, 1, 1, 1, 0]


def test_an_endpoint_narrows_it_and_one_that_nobody_called_is_refused(analyst: httpx.Client, lake: HandmadeLake):
    before = analyst.get("/api/v1/reports/compare", params={"endpoint": "embeddings"})
    put(lake, 1, 2, endpoint="chat.completions")
    put(lake, 3, endpoint="embeddings")
    found = analyst.get("/api/v1/reports/compare", params={"endpoint": "embeddings"}).json()
    wrong = analyst.get("/api/v1/reports/compare", params={"endpoint": "chat"})

    assert (before.status_code, before.json()["base"]["requests"]) == (200, 0)
    assert (found["base"]["requests"], found["endpoints"]) == (1, {"embeddings": 1})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (404, "endpoint_not_found")
    assert "there are: chat.completions, embeddings" in wrong.json()["error"]["message"]


UNKNOWN = {
    "application": ({"application": "shopp"}, "no request of the application 'shopp'; there are: shop, desk"),
    "phase": ({"phase": "gamma"}, "no request of the phase 'gamma'; there are: canary"),
    "tag": ({"tag": "crew=red"}, "no request carries the tag 'crew'; there are: team, note"),
    "value": ({"tag": "team=grey"}, "no request carries the tag team with the value 'grey'; there are: red, blue"),
    "by": ({"by": "tag:crew"}, "no request carries the tag 'crew'; there are: team, note"),
}


@pytest.mark.parametrize("report", ["compare", "satisfaction"])
@pytest.mark.parametrize("unknown", UNKNOWN)
def test_what_no_request_has_is_refused_with_what_there_is(
    analyst: httpx.Client, lake: HandmadeLake, report: str, unknown: str
):
    asked, words = UNKNOWN[unknown]
    before = analyst.get(f"/api/v1/reports/{report}", params=asked)
    put(lake, 1, 2, application="shop", phase="canary", tags={"team": "red", "note": "x"})
    put(lake, 3, application="desk", tags={"team": "blue"})
    put(lake, 4, application="other", phase="ga", tags={"crew": "red"}, generation=2)
    refused = analyst.get(f"/api/v1/reports/{report}", params=asked)
    combined = analyst.get(f"/api/v1/reports/{report}", params={"application": "desk", "phase": "canary"})

    assert (before.status_code, combined.status_code, refused.status_code) == (200, 200, 404)
    assert refused.json()["error"]["message"] == words
    assert combined.json()["base"]["requests"] == 0


def test_words_narrow_a_report_together(analyst: httpx.Client, lake: HandmadeLake):
    put(lake, 1, 2, application="shop", tags={"team": "red", "note": "x"})
    put(lake, 3, application="shop", tags={"team": "red"})
    put(lake, 4, application="shop", tags={"team": "red"}, purpose="eval")
    spans = [{"tag": "team=red"}, {"tag": ["team=red", "note=x"]}, {"purpose": "eval"}, {"application": "shop"}]
    found = [analyst.get("/api/v1/reports/compare", params=span).json()["base"]["requests"] for span in spans]

    assert found == [3, 2, 1, 3]


def test_divided_a_report_is_a_list(analyst: httpx.Client, lake: HandmadeLake):
    put(lake, 1, 2, application="shop")
    put(lake, 3, application="desk")
    tables = analyst.get("/api/v1/reports/compare", params={"by": "application", "as_treated": "true"}).json()
    said = analyst.get("/api/v1/reports/satisfaction", params={"by": "day"}).json()

    assert [(one["part"], one["base"]["requests"]) for one in tables] == [("shop", 2), ("desk", 1)]
    assert [one["as_treated"]["base"]["requests"] for one in tables] == [0, 0]
    assert [(one["part"], one["base"]["requests"]) for one in said] == [("2026-09-21", 3)]


def test_more_tables_than_anybody_reads_are_refused(analyst: httpx.Client, lake: HandmadeLake):
    facts = {"rollout": SALES, "generation": 1, "arm_assigned": "base", "reason": "split", "bucket": 1}
    lake.put([record(number, **facts, tags={"session": str(number)}) for number in range(1, 1002)])
    refused = analyst.get("/api/v1/reports/compare", params={"by": "tag:session"})

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "too_many_parts")
    assert "tag:session has more than 1000 values" in refused.json()["error"]["message"]


def test_a_step_that_never_was_is_refused_and_one_without_requests_is_not(
    console: RunningConsole, analyst: httpx.Client, lake: HandmadeLake
):
    def asked(**params: int) -> tuple[int, str]:
        answer = analyst.get("/api/v1/reports/compare", params=params)
        return answer.status_code, answer.json().get("error", {}).get("message", "")

    assert asked(step=1) == (404, "no such step: 1; none exists yet")
    with console.client(console.key("ops")) as ops:
        for version, percent in enumerate((10, 20), 1):
            assert ops.put(
                f"/api/v1/rollouts/{SALES}/percent", json={"percent": percent, "version": version}
            ).is_success
    put(lake, 1, generation=7, step=1)

    assert [asked(step=1)[0], asked(step=2)[0]] == [200, 200]
    assert asked(step=3) == (404, "no such step: 3; steps 1 to 2 exist")
    assert asked(step=1, generation=7)[0] == 200
    assert asked(step=2, generation=7) == (404, "no such step: 2; only step 1 exists")


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"rollout": "nobody"}, 404, "there is no rollout or flag 'nobody'"),
        ({"since": "yesterday"}, 400, "'yesterday' is no time; write for example"),
        ({"until": "0001-01-01T00:00:00+23:00"}, 400, "is no time"),
        ({"since": "2026-09-22", "until": "2026-09-22"}, 400, "is not before"),
        ({"generation": "0"}, 400, "generation"),
        ({"generation": "x"}, 400, "generation"),
        ({"generation": "99999999999"}, 400, "generation"),
        ({"tag": "team"}, 400, "'team' is no tag; write name=value"),
        ({"by": "week"}, 400, "a report is not divided by 'week'; there are: day, hour"),
        ({"purpose": "dead"}, 400, "purpose"),
        ({"forced": "perhaps"}, 400, "forced"),
        ({"aplication": "shop"}, 400, "a report is not asked for by 'aplication'; there are: rollout, generation"),
        ({"": ""}, 400, "a report is not asked for by ''"),
        ({"step": ["1", "2"]}, 400, "step is there 2 times in the query; send it once"),
        ({"as_treated": ["true", "false"]}, 400, "as_treated is there 2 times"),
        ({"generation": "2"}, 404, "no request of generation 2; the present generation is 1"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(
    analyst: httpx.Client, asked: dict[str, str | list[str]], status: int, words: str
):
    answer = analyst.get("/api/v1/reports/compare", params=asked)

    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


def test_a_lake_that_cannot_be_read_is_said(analyst: httpx.Client, lake: HandmadeLake):
    put(lake, 1)
    (lake.root / "incoming/w0-b1-000009-0-1.parquet").write_bytes(b"nonsense")
    answer = analyst.get("/api/v1/reports/compare")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_report")
    assert "w0-b1-000009-0-1.parquet" in answer.json()["error"]["message"]


def test_many_reports_at_once_are_answered_and_keep_nobody_else_from_an_answer(
    console: RunningConsole, lake: HandmadeLake
):
    put(lake, *range(1, 50))
    key, answers = console.key("analyst"), list[int]()

    def ask() -> None:
        with console.client(key) as client:
            answers.append(client.get("/api/v1/reports/compare", timeout=60).status_code)

    threads = [Thread(target=ask) for _ in range(45)]
    for thread in threads:
        thread.start()
    with console.client(console.key("ops")) as ops:
        moved = ops.put(f"/api/v1/rollouts/{SALES}/percent", json={"percent": 0, "version": 1})
    for thread in threads:
        thread.join()

    assert moved.status_code == 200
    assert answers == [200] * 45
