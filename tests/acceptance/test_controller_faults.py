"""Whatever befalls the controller in mid-step, it decides what it would have decided, each step once and in order."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from tests.acceptance.controlled import (
    ENDS,
    LAKE,
    THREE_STEPS,
    THROUGH,
    WIDE,
    actions,
    comes_to_stand,
    gate,
    one_step,
    playing,
    standing,
    standing_if_any,
    steps,
    verdict,
)
from tests.acceptance.harness import ROLLOUT, Installation, ended, until
from tests.fakes.object_server import KEY, SECRET, Bucket, SpoilingProxy, serving_objects
from tests.fakes.plain import PLAIN
from tests.fakes.wall_clock import WallClock

log = logging.getLogger("acceptance")
GENTLE: dict[str, Any] = {"lake": "seal_every_s = 1", "callers": 4, "workers": 1}
"""What a busy machine can keep up with: some thirty requests and a file of records a second."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def comes_to(one: Installation, percent: float) -> None:
    """Wait until the plan has come so far, or to its end."""

    def has_come() -> bool:
        shown = one.show()
        return shown["percent"] == percent or shown["controller"]["standing"] in ENDS

    until(has_come, f"{percent:g} %", within_s=300, pause_s=0.5)


def through(one: Installation) -> None:
    """Fail unless every step of the plan was taken, once and in order."""
    assert [(action, percent) for action, percent, *_ in steps(one)] == THROUGH
    assert [step for *_, step, _ in steps(one)] == list(range(steps(one)[0][2], steps(one)[0][2] + 4))


@contextmanager
def second_console(one: Installation) -> Iterator[tuple[httpx.Client, int]]:
    """Run another console on the same state, started by mistake; yield how to ask it, and its process."""
    argv = (Path("/proc") / str(one.pid("console")) / "cmdline").read_bytes().decode().split("\0")[:-1]
    with socket.create_server(("127.0.0.1", 0)) as listener, (one.folder / "second.log").open("wb") as said:
        argv[argv.index("--fd") + 1] = str(listener.fileno())
        process = subprocess.Popen(argv, pass_fds=[listener.fileno()], env=one.environment, stderr=said)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
        listener.close()
        headers = {"authorization": f"Bearer {one.keys['admin']}"}
        try:
            with httpx.Client(base_url=url, headers=headers, trust_env=False, verify=PLAIN, timeout=30) as client:
                yield client, process.pid
            assert process.poll() is None
        finally:
            ended(process)


def refused(second: httpx.Client, one: Installation) -> bool:
    """Tell whether another console may move nothing."""
    body = {"percent": 90, "version": one.show()["version"]}
    answer = second.put(f"/rollouts/{ROLLOUT}/percent", json=body)
    return answer.status_code == 503 and "this console is read-only" in answer.json()["error"]["message"]


def test_a_console_killed_at_any_moment_beside_a_second_one_takes_each_step_once_and_in_order(tmp_path: Path):
    with playing(tmp_path, THREE_STEPS, **GENTLE) as one, second_console(one) as (second, its_pid):
        until(lambda: second.get("/status").json()["read_only"], "the second console answers", pause_s=0.5)
        random, began_s, killed_at = Random(11), time.monotonic(), list[str]()
        while standing_if_any(one) not in ENDS and time.monotonic() - began_s < 400:
            time.sleep(random.uniform(5, 20))
            assert refused(second, one)
            killed_at.append(f"{one.show()['percent']:g} % after {time.monotonic() - began_s:.0f} s")
            [writer] = {*one.pids("console")} - {its_pid}
            one.kills["console"] += 1
            os.kill(writer, signal.SIGKILL)
            until(lambda: standing_if_any(one) is not None, "the console is back", within_s=90, pause_s=0.5)
        log.warning("console killed %d times: at %s", len(killed_at), "; ".join(killed_at))

        assert standing(one) == "at_ga"
        through(one)
        assert len(killed_at) >= 5
        assert "the controller moved a rollout" not in (one.folder / "second.log").read_text()


def test_a_wall_clock_that_jumps_by_two_days_in_mid_step_skips_nothing_and_repeats_nothing(tmp_path: Path):
    clock = WallClock(tmp_path)
    with playing(tmp_path, THREE_STEPS, **GENTLE, environment=clock.environment) as one:
        began_s, true_us = time.monotonic(), time.time_ns() // 1000
        for number, (percent, days) in enumerate([(20, 2), (35, -2)]):
            comes_to(one, percent)
            log.warning("clock: %g %% after %.0f s", one.show()["percent"], time.monotonic() - began_s)
            time.sleep(12)
            assert len(steps(one)) == number + 1
            clock.turn(days)
        comes_to(one, 50)
        log.warning("clock: 50 %% after %.0f s", time.monotonic() - began_s)

        assert [(action, percent) for action, percent, *_ in steps(one)] == THROUGH[:3]
        seen = [gate_at - true_us for gate_at in (report["at"] for report in gate(one, 100)["reports"])]
        assert max(seen) > 86_400_000_000, "nothing was decided under the clock that is ahead"
        assert min(seen) < -86_400_000_000, "nothing was decided under the clock that is behind"


def test_a_lake_that_is_gone_in_mid_step_holds_and_when_it_is_back_the_plan_goes_on(tmp_path: Path):
    with playing(tmp_path, one_step(30, 40, ["errors"], WIDE), **GENTLE) as one:
        until(lambda: gate(one)["report"] is not None, "the gate has spoken", within_s=60, pause_s=0.5)
        lake, away = one.state_dir / "lake", one.state_dir / "lake-away"
        lake.rename(away)
        lake.write_text("this is no directory")
        try:
            held_s = until(lambda: verdict(one) == "hold", "the gate holds", within_s=90, pause_s=0.25)
            time.sleep(60)
            assert (verdict(one), standing(one), one.show()["percent"]) == ("hold", "running", 30)
            log.warning("lake gone: hold after %.1f s: %s", held_s, gate(one)["report"]["summary"])
        finally:
            lake.unlink()
            away.rename(lake)
        back_s = until(lambda: verdict(one) != "hold", "the gate goes on", within_s=240, pause_s=0.25)
        comes_to_stand(one, *ENDS, within_s=300)
        log.warning("lake back: no hold any more after %.1f s", back_s)

        assert standing(one) == "at_ga"
        assert actions(one)[-2:] == ["start", "advance"]


def test_an_object_store_that_is_gone_in_mid_step_holds_and_when_it_is_back_the_plan_goes_on(tmp_path: Path):
    with serving_objects() as port, SpoilingProxy(port).running() as proxy:
        bucket = Bucket("decided", proxy.port)
        bucket.ask("PUT")
        lake = LAKE.format(bucket=bucket.name, endpoint=bucket.endpoint)
        environment = {"LAKE_KEY_ID": KEY, "LAKE_KEY_SECRET": SECRET}
        with playing(
            tmp_path,
            one_step(30, 40, ["errors"], WIDE),
            environment=environment,
            lake=f"seal_every_s = 1\n{lake}",
            callers=8,
        ) as one:
            until(lambda: gate(one)["report"] is not None, "the gate has spoken", within_s=60, pause_s=0.5)
            proxy.judge = lambda _method, _path: "reset"
            try:
                held_s = until(lambda: verdict(one) == "hold", "the gate holds", within_s=120, pause_s=0.25)
                time.sleep(60)
                assert (verdict(one), standing(one), one.show()["percent"]) == ("hold", "running", 30)
                log.warning("object store gone: hold after %.1f s: %s", held_s, gate(one)["report"]["summary"])
            finally:
                proxy.judge = lambda _method, _path: "pass"
            back_s = until(lambda: verdict(one) != "hold", "the gate goes on", within_s=180, pause_s=0.25)
            comes_to_stand(one, *ENDS, within_s=300)
            log.warning("object store back: no hold any more after %.1f s", back_s)

            assert standing(one) == "at_ga"
            assert actions(one)[-2:] == ["start", "advance"]


def test_sums_that_were_deleted_in_mid_step_are_added_up_again_from_the_lake(tmp_path: Path):
    with playing(tmp_path, one_step(30, 40, ["errors"], WIDE), **GENTLE) as one:
        until(lambda: gate(one)["report"] is not None, "the gate has spoken", within_s=60, pause_s=0.5)
        time.sleep(10)
        sums = one.state_dir / "evidence.duckdb"
        before = sums.stat().st_ino
        for file in one.state_dir.glob("evidence.duckdb*"):
            file.unlink()
        time.sleep(5)
        one.kill("console")
        until(lambda: standing_if_any(one) is not None, "the console is back", within_s=90, pause_s=0.5)
        back_s = until(lambda: sums.exists() and verdict(one) != "hold", "the sums are back", within_s=90, pause_s=0.25)
        log.warning("sums deleted: whole again %.1f s after the console's return", back_s)
        assert sums.stat().st_ino != before or os.name != "posix"
        comes_to_stand(one, *ENDS, within_s=300)

        assert standing(one) == "at_ga"
        assert actions(one)[-2:] == ["start", "advance"]
