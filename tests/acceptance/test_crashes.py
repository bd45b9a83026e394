"""Processes die without warning: what they left open is settled, and none outlives its supervisor."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.acceptance.callers import ask_all, failures
from tests.acceptance.harness import BASE, CANDIDATE, CONFIG, SIMULATED, Installation, installed, until
from tests.acceptance.test_disconnects import SILENT, hang

USERS = [f"user-{number}" for number in range(50)]
MODELS = f"""
[models."{SILENT}"]
upstream = "base"
"""
SLOWER = """ttft_ms = 15
ttft_sigma = 0.5
ms_per_token = 1
output_tokens = 30
tokens_per_chunk = 4
"""
ALL_SIMULATED = {
    "base": f'[models."{BASE}"]\n{SLOWER}\n[models."{SILENT}"]\nttft_ms = 60000\nttft_sigma = 0\n',
    "tuned": f'[models."{CANDIDATE}"]\n{SLOWER}',
}


@pytest.fixture
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("crashes")
    with installed(folder, config=CONFIG + MODELS, simulated=ALL_SIMULATED) as installation:
        installation.set_percent(50)
        yield installation


def test_requests_that_a_dead_worker_left_open_become_interrupted_exactly_once(one: Installation):
    with ExitStack() as held:
        for number in range(6):
            held.enter_context(hang(one, f"hang-{number}", SILENT, stream=number % 2 == 0))
        until(lambda: one.simulated["base"].counts()[SILENT]["open_requests"] == 6, "the model works on all of them")
        for worker in ("worker-0", "worker-1"):
            one.kill(worker)
        until(lambda: not failures(ask_all(one, ["ada"], at_once=1)), "a worker answers again")

        rows = one.lake(f"FROM records WHERE model_requested = '{SILENT}'")

    assert [row["outcome"] for row in rows] == ["interrupted"] * 6
    assert len({row["request_id"] for row in rows}) == 6
    assert {(row["cost_usd"], row["cost_unknown"], row["usage_source"]) for row in rows} == {
        (None, "no_usage", "missing")
    }
    assert all(row["user_hash"] and row["application"] == "default" for row in rows)
    until(lambda: one.simulated["base"].counts()[SILENT]["open_requests"] == 0, "the model is left alone")
    assert one.settle().outcomes["interrupted"] == 6


def test_a_request_whose_body_never_came_leaves_no_gap_when_its_worker_dies(one: Installation):
    with ExitStack() as held:
        for number in range(8):
            held.enter_context(hang(one, f"half-{number}", BASE, stream=False, missing_bytes=10))
        time.sleep(0.2)
        assert not failures(ask_all(one, USERS, at_once=4))
        for worker in ("worker-0", "worker-1"):
            one.kill(worker)
        until(lambda: not failures(ask_all(one, ["ada"], at_once=1)), "a worker answers again")

        found = one.settle()

    assert (found.missing, found.sound) == (0, True)
    assert not [answer for answer in ask_all(one, USERS[:5]) if not answer.is_complete]


@pytest.mark.skipif(sys.platform != "linux", reason="not exercised: only Linux tells a child that its parent died")
def test_all_processes_end_when_the_supervisor_is_killed(tmp_path_factory: pytest.TempPathFactory):
    with installed(tmp_path_factory.mktemp("orphans"), simulated=SIMULATED, ends_by=signal.SIGKILL) as one:
        children = [one.pid(child) for child in ("worker-0", "worker-1", "shipper", "console")]

    until(lambda: not any(lives(pid) for pid in children), "all have ended")


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
