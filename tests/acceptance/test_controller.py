"""The controller through the real gateway, journal, lake and ledger, by a plan of seconds whose margins are wide."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.harness import (
    APPLICATION,
    BEHAVIOUR,
    CANDIDATE,
    CONFIG,
    ROLLOUT,
    SIMULATED,
    Installation,
    installed,
    until,
)
from tests.fakes.plain import PLAIN

pytestmark = pytest.mark.slow

PLAN = f"""
[rollouts.{ROLLOUT}.plan]
approval = "auto"
safety_users = 10
safety_requests = 20
steps = [
  {{ phase = "canary", percent = 30, dwell = "12s", checks = ["errors"] }},
  {{ phase = "canary", percent = 50, dwell = "12s", checks = ["errors"] }},
  {{ phase = "ga", percent = 98 }},
]

[rollouts.{ROLLOUT}.plan.margins.errors]
relative = 1.0
absolute = 0.2
min_users = 30
min_requests = 60
"""
FAILING = f'[models."{CANDIDATE}"]\n{BEHAVIOUR}errors = {{ 500 = 1.0 }}\n'


class Traffic:
    """Callers that go on until the block ends; `answers` counts what they got, by status and arm."""

    def __init__(self, one: Installation) -> None:
        self._one, self._over = one, threading.Event()
        self.answers: dict[tuple[int, str], int] = {}
        self._numbers = itertools.count()
        self._turn = threading.Lock()

    def call(self) -> None:
        """Call as one user after the other."""
        headers = {"authorization": f"Bearer {self._one.keys['application']}"}
        with httpx.Client(base_url=self._one.base_url, headers=headers, trust_env=False, verify=PLAIN) as client:
            while not self._over.is_set():
                with self._turn:
                    user = next(self._numbers) % 400
                body = {"model": ROLLOUT, "messages": [{"role": "user", "content": "hello"}]}
                answer = client.post("/chat/completions", json=body, headers={"x-user-id": f"user-{user}"}, timeout=30)
                said = (answer.status_code, answer.headers.get("x-turnout-arm", "-"))
                with self._turn:
                    self.answers[said] = self.answers.get(said, 0) + 1

    @contextmanager
    def running(self) -> Iterator[Traffic]:
        """Call from three threads."""
        threads = [threading.Thread(target=self.call) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join()


def gate(one: Installation) -> dict[str, Any]:
    return one.ask("GET", f"gates/{ROLLOUT}").raise_for_status().json()


def standing(one: Installation) -> str:
    return gate(one)["controller"]["standing"]


def start(one: Installation) -> None:
    one.ask("POST", f"rollouts/{ROLLOUT}/start", {"version": one.show()["version"]}).raise_for_status()


def test_equal_arms_reach_general_availability_although_the_console_is_killed_on_the_way(tmp_path: Path):
    with installed(tmp_path, config=CONFIG.replace(APPLICATION, PLAN + APPLICATION)) as one, Traffic(one).running():
        start(one)
        until(lambda: gate(one)["controller"]["running_s"] > 4, "the clock runs", within_s=60, pause_s=0.3)
        one.kill("console")
        until(lambda: is_there(one), "the console is back", within_s=60, pause_s=0.3)
        until(lambda: standing(one) in {"at_ga", "rolled_back"}, "the plan is through", within_s=180, pause_s=0.5)

        history = one.ask("GET", f"rollouts/{ROLLOUT}/history?verify=true").json()
        assert [entry["action"] for entry in reversed(history["entries"])] == [
            "add_rollout",
            "start",
            "advance",
            "advance",
        ]
        assert history["whole"]


def is_there(one: Installation) -> bool:
    try:
        return bool(gate(one))
    except httpx.HTTPError:
        return False


def test_a_candidate_that_is_down_is_taken_back_and_callers_see_no_error(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    servers = {**SIMULATED, "tuned": FAILING}
    config = CONFIG.replace(APPLICATION, PLAN + APPLICATION)
    with installed(tmp_path, config=config, simulated=servers) as one, Traffic(one).running() as traffic:
        until(lambda: sum(traffic.answers.values()) > 50, "traffic flows", within_s=60)
        began = time.monotonic()
        start(one)
        until(lambda: standing(one) == "rolled_back", "it is rolled back", within_s=60, pause_s=0.1)
        took_s = time.monotonic() - began
        until(lambda: one.show()["percent"] == 0.0, "the percent is 0")
        one.wait_for_workers()
        reached = one.simulated["tuned"].counts()[CANDIDATE]["requests"]
        report = gate(one)["report"]

    record_property("rolled_back_s", round(took_s, 1))
    record_property("requests_to_candidate", reached)
    assert report["verdict"] == "fail"
    assert report["is_fast_kill"]
    assert {status for status, _ in traffic.answers} == {200}
