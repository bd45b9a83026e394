from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from gateway.console.measuring import EvidenceLostError
from tests.fakes.console import SALES, RunningConsole, serving
from tests.fakes.measured import Measured, staged

ROLLOUT = f"/api/v1/rollouts/{SALES}"


@pytest.fixture
def ops(console: RunningConsole) -> Iterator[httpx.Client]:
    with console.client(console.key("ops")) as client:
        yield client


def test_a_plan_is_started_paused_resumed_advanced_restarted_and_rolled_back(ops: httpx.Client):
    told = [
        ("start", {}, ("running", 5.0)),
        ("pause", {}, ("paused", 5.0)),
        ("resume", {}, ("running", 5.0)),
        ("advance", {"reason": "r"}, ("running", 10.0)),
        ("restart", {"reason": "r"}, ("running", 10.0)),
        ("rollback", {}, ("rolled_back", 0.0)),
        ("start", {"at": "2099-01-01T00:00:00Z"}, ("scheduled", 0.0)),
    ]
    for version, (wish, more, stands) in enumerate(told, start=1):
        answer = ops.post(f"{ROLLOUT}/{wish}", json={"version": version, **more})

        assert answer.status_code == 200, answer.text
        assert (answer.json()["controller"]["standing"], answer.json()["percent"]) == stands
    assert ops.post(f"{ROLLOUT}/start", json={"version": 1}).status_code == 409


@pytest.mark.parametrize(
    ("wish", "body", "sentence"),
    [
        ("advance", '{"version": 1}', "has not started its plan"),
        ("start", '{"version": 1, "at": "soon"}', "is no moment"),
        ("start", '{"version": "x"}', "version"),
        ("pause", '{"version": "7"}', "version: '7' is text; write a number without quotes"),
        ("start", '{"version": 1, "at": "1999-01-01T00:00:00Z"}', "is past; name a later moment"),
        ("pause", '{"version": 1, "at": "2099-01-01T00:00:00Z"}', "at"),
        ("rollback", "", "needs a JSON body"),
    ],
)
def test_what_cannot_be_told_gets_400_with_the_reason(ops: httpx.Client, wish: str, body: str, sentence: str):
    answer = ops.post(f"{ROLLOUT}/{wish}", content=body)

    assert answer.status_code == 400
    assert sentence in answer.json()["error"]["message"]


def test_a_gate_and_a_plan_are_shown(ops: httpx.Client):
    ops.post(f"{ROLLOUT}/start", json={"version": 1})
    gate = ops.get(f"/api/v1/gates/{SALES}", params={"limit": 3}).json()

    assert (gate["controller"]["standing"], gate["next_row"]["percent"], [one["gate"] for one in gate["reports"]]) == (
        "running",
        10.0,
        ["certificate"],
    )
    assert [row["percent"] for row in ops.get(f"{ROLLOUT}/plan").json()["plan"]["rows"]] == [0, 5, 10, 25, 50, 100]
    assert ops.get(f"/api/v1/gates/{SALES}", params={"limit": 501}).status_code == 400
    misspelt = ops.get(f"/api/v1/gates/{SALES}", params={"nwo": "true"})
    assert misspelt.status_code == 400
    assert misspelt.json()["error"]["message"] == "a gate is not asked for by 'nwo'; there are: limit, now"


@pytest.mark.parametrize("path", [f"{ROLLOUT}/plan?suggest=true", f"/api/v1/gates/{SALES}?now=true"])
def test_many_who_ask_what_reads_raw_rows_keep_nobody_from_a_rollback(tmp_path: Path, path: str):
    is_over, codes = Event(), list[int]()

    def slow(*_: Any, **__: Any) -> Any:
        is_over.wait(60)
        message = "the lake is away"
        raise EvidenceLostError(message)

    def ask() -> None:
        with console.client(console.keys.admin) as client:
            codes.append(client.get(path, timeout=60).status_code)

    with staged(tmp_path, measured=Measured()) as stage:
        stage.tell("start")
        stage.pulses(10)
        stage.measured.weeks = stage.measured.look = slow
        with serving(stage.control) as console:
            threads = [Thread(target=ask) for _ in range(45)]
            for thread in threads:
                thread.start()
            try:
                for _ in range(1500):
                    if stage.control.steering.turns.statistics().tasks_waiting == 44:
                        break
                    is_over.wait(0.01)
                with console.client(console.keys.admin) as client:
                    version = stage.held.flag.version
                    rolled = client.post(f"{ROLLOUT}/rollback", json={"version": version}).status_code
            finally:
                is_over.set()
                for thread in threads:
                    thread.join()

    assert (rolled, codes) == (200, [200] * 45)
