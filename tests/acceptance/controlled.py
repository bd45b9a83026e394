"""Installations with a plan that begins, users who ask and rate, and what is asked of their controller."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from gateway.simulate.users import text_of
from gateway.simulate.words import liked
from tests.acceptance.callers import Answer, Caller, load
from tests.acceptance.harness import APPLICATION, BASE, CANDIDATE, MODELS, ROLLOUT, Installation, installed, until

log = logging.getLogger("acceptance")
USERS = [f"user-{number}" for number in range(400)]
slow = pytest.mark.slow
BUSY_S = 30.0
"""From the first failing request of a total outage to the last dispatch: 10 s are promised, on a machine that is not
busy with other tests."""
DISPATCHED = """
    epoch(max(started_at) - min(started_at)) AS seconds, count(*) AS requests FROM records
    WHERE arm_assigned = 'candidate' AND reason IN ('split', 'stale')
        AND started_at >= (SELECT min(started_at) FROM records WHERE arm_assigned = 'candidate'
            AND (outcome <> 'ok' OR fallback_reason IS NOT NULL))
"""
"""What was given to the candidate since the first failure; comes after `SELECT`, and what else is asked."""
LAKE = """url = "s3://{bucket}/lake"
endpoint_url = "{endpoint}"
region = "us-east-1"
access_key_id = {{ env = "LAKE_KEY_ID" }}
secret_access_key = {{ env = "LAKE_KEY_SECRET" }}
"""
SERVER = """[server]
port = 0
console_port = 0
metrics_port = 0
workers = {workers}

[lake]
seal_every_s = 0.2
"""


def configured(plan: str, *, fallback: bool = True, workers: int = 2) -> str:
    """Return an installation's configuration with a plan for its rollout."""
    return SERVER.format(workers=workers) + defined(plan, fallback=fallback)


def defined(plan: str, *, fallback: bool = True) -> str:
    """Return what a console defines: models, the application, and the rollout with its plan."""
    split = f"""
[rollouts.{ROLLOUT}]
base = "{BASE}"
candidate = "{CANDIDATE}"
evidence = "off"
fallback = {str(fallback).lower()}

[rollouts.{ROLLOUT}.plan]
approval = "auto"
{plan}
"""
    return MODELS + split + APPLICATION


def one_step(percent: float, dwell_s: float, checks: Sequence[str], margins: str = "", phase: str = "canary") -> str:
    """Return a plan of one step before GA."""
    asked = ", ".join(f'"{check}"' for check in checks)
    return f"""steps = [
  {{ phase = "{phase}", percent = {percent}, dwell = "{dwell_s:g}s", checks = [{asked}] }},
  {{ phase = "ga", percent = 100 }},
]
{margins}"""


def behaving(model: str, **keys: Any) -> str:
    """Return a simulated model's file."""
    given = {"ttft_ms": 20, "ttft_sigma": 0.25, "ms_per_token": 0, "output_tokens": 24, **keys}
    lines = "\n".join(f"{name} = {value}" for name, value in given.items())
    return f'[models."{model}"]\n{lines}\n'


def models(candidate: dict[str, Any] | None = None, **base: Any) -> dict[str, str]:
    """Return both simulated servers; the candidate is as base but for what is said."""
    return {"base": behaving(BASE, **base), "tuned": behaving(CANDIDATE, **{**base, **(candidate or {})})}


def gate(one: Installation, reports: int = 0) -> dict[str, Any]:
    """Return what the gate says."""
    return one.ask("GET", f"gates/{ROLLOUT}?limit={reports}").raise_for_status().json()


def start(one: Installation) -> None:
    """Start the plan, and return when all workers decide by it."""
    body = {"version": one.show()["version"], "reason": "a test"}
    one.ask("POST", f"rollouts/{ROLLOUT}/start", body).raise_for_status()
    one.wait_for_workers()


def standing(one: Installation) -> str:
    """Return where the rollout stands."""
    return one.show()["controller"]["standing"]


def comes_to_stand(one: Installation, *wanted: str, within_s: float) -> dict[str, Any]:
    """Wait until the rollout stands as wanted, and return what its gate says then."""
    until(lambda: standing(one) in wanted, f"the rollout is {wanted}", within_s=within_s, pause_s=0.25)
    return gate(one, reports=5)


def entries(one: Installation) -> list[dict[str, Any]]:
    """Return what the audit has of the rollout, oldest first, and prove that its chain is whole."""
    history = one.ask("GET", f"rollouts/{ROLLOUT}/history?verify=true").raise_for_status().json()
    assert history["whole"], history["fault"]
    return list(reversed(history["entries"]))


def actions(one: Installation) -> list[str]:
    """Return what was done, oldest first."""
    return [entry["action"] for entry in entries(one)]


def steps(one: Installation) -> list[tuple[str, float, int, str]]:
    """Return what the plan did: the action, the percent, the step and its digest; each once, and in order."""
    told = [
        entry for entry in entries(one) if entry["action"] in {"start", "advance", "roll_back", "find_inconclusive"}
    ]
    for before, after in pairwise(told):
        assert after["before"]["step"] == before["after"]["step"], "a step between two others is missing, or twice"
        assert after["before"]["digest"] == before["after"]["digest"]
    done = [(one["action"], one["after"]) for one in told]
    return [(action, after["percent"], after["step"], after["digest"]) for action, after in done]


def until_last_dispatch(one: Installation, *, settled: bool = True) -> tuple[float, int]:
    """Return the seconds from the first failure to the last request that was given to the candidate, and how many."""
    [row] = one.lake(f"SELECT {DISPATCHED}", settled=settled)
    return row["seconds"], row["requests"]


WIDE = f"""
[rollouts.{ROLLOUT}.plan.margins]
errors = {{ relative = 0.25, absolute = 0.03, min_users = 50, min_requests = 300 }}
p50 = {{ ratio = 1.2, min_users = 50, min_requests = 300 }}
p99 = {{ ratio = 1.2, min_users = 50, min_requests = 300 }}
satisfaction = {{ absolute = 0.04, min_users = 50, min_requests = 200 }}
"""
TWO_STEPS = f"""steps = [
  {{ phase = "canary", percent = 30, dwell = "40s", checks = ["errors", "p50"] }},
  {{ phase = "beta", percent = 50, dwell = "40s", checks = ["errors", "satisfaction"] }},
  {{ phase = "ga", percent = 100 }},
]
{WIDE}"""
THREE_STEPS = f"""steps = [
  {{ phase = "canary", percent = 20, dwell = "40s", checks = ["errors"] }},
  {{ phase = "canary", percent = 35, dwell = "30s", checks = ["errors"] }},
  {{ phase = "beta", percent = 50, dwell = "30s", checks = ["errors"] }},
  {{ phase = "ga", percent = 100 }},
]
safety_users = 30
safety_requests = 60

[rollouts.{ROLLOUT}.plan.margins]
errors = {{ absolute = 0.05, min_users = 30, min_requests = 60 }}
"""
THROUGH = [("start", 20.0), ("advance", 35.0), ("advance", 50.0), ("advance", 100.0)]
"""What the controller does with these steps as long as nothing is wrong."""
ENDS = ("at_ga", "inconclusive", "rolled_back")
Share = Callable[[Answer], float]


@contextmanager
def playing(
    folder: Path,
    plan: str,
    *,
    candidate: dict[str, Any] | None = None,
    feedback: Share | None = None,
    environment: Mapping[str, str] | None = None,
    lake: str = "seal_every_s = 0.2",
    callers: int = 16,
    workers: int = 2,
    **base: Any,
) -> Iterator[Installation]:
    """Run an installation whose plan has begun, with users who ask, and rate this share of answers.

    `lake` are the lines of `[lake]`; so many `callers` ask at once, each some eight times a second.
    """
    config = configured(plan, fallback=False, workers=workers).replace("seal_every_s = 0.2", lake)
    with installed(folder, config=config, simulated=models(candidate, **base), environment=environment) as one:
        start(one)
        over = threading.Event()
        with load(one, USERS, at_once=callers, pause_s=0.12) as answers:
            rating = threading.Thread(target=rate, args=(one, answers, feedback, over))
            rating.start()
            try:
                yield one
            finally:
                over.set()
                rating.join()


def rate(one: Installation, answers: Sequence[Answer], share: Share | None, over: threading.Event) -> None:
    """Rate answers as they come, as a simulated user likes them, with thumbs."""
    random, done, caller = Random(7), 0, Caller(one)
    while share is not None and not over.wait(0.05):
        for answer in answers[done:]:
            done += 1
            if not answer.is_complete or random.random() >= share(answer):
                continue
            likes = liked(text_of(answer.body, streamed=answer.is_stream))
            if likes is not None:
                caller.feedback(request_id=answer.request_id, thumb="up" if likes else "down")
    caller.close()


def verdict(one: Installation) -> str | None:
    """Return the gate's verdict."""
    return one.show()["controller"]["verdict"]


def standing_if_any(one: Installation) -> str | None:
    """Return where the rollout stands; None while no console answers."""
    try:
        return standing(one)
    except httpx.HTTPError:
        return None
