"""The controller decides through a real gateway and lake: what a candidate does to it, and what happens to the console.

Plans are demonstrations: steps of seconds, wide margins, small minima.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import time
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.callers import Answer, ask_all, failures, load
from tests.acceptance.controlled import (
    BUSY_S,
    TWO_STEPS,
    USERS,
    WIDE,
    actions,
    comes_to_stand,
    configured,
    gate,
    models,
    one_step,
    playing,
    standing,
    standing_if_any,
    start,
    until_last_dispatch,
    verdict,
)
from tests.acceptance.harness import CANDIDATE, ROLLOUT, installed, until

log = logging.getLogger("acceptance")
slow = pytest.mark.slow


def test_a_total_outage_of_the_candidate_hurts_nobody_and_is_ended_by_fast_kill(tmp_path: Path):
    config = configured(one_step(50, 30, ["errors"]), workers=1)
    with installed(tmp_path, config=config, simulated=models({"errors": "{ 500 = 1.0 }"})) as one:
        start(one)
        with load(one, USERS[:80], at_once=2, pause_s=0.05) as answers:
            found = comes_to_stand(one, "rolled_back", within_s=60)
            one.wait_for_workers()
        assert failures(answers) == []
        dispatched = one.simulated["tuned"].counts()[CANDIDATE]["requests"]
        assert {answer.arm for answer in ask_all(one, USERS[:40], at_once=2)} == {"base"}
        assert one.simulated["tuned"].counts()[CANDIDATE]["requests"] == dispatched
        seconds, requests = until_last_dispatch(one)
        log.warning("outage: %.1f s and %d candidate requests until the last dispatch", seconds, requests)

        assert found["percent"] == 0
        assert found["reports"][0]["is_fast_kill"]
        assert actions(one)[-2:] == ["start", "roll_back"]


@slow
@pytest.mark.timeout(600)
def test_equal_arms_pass_canary_and_beta_and_reach_ga(tmp_path: Path):
    with playing(tmp_path, TWO_STEPS, feedback=lambda _: 0.9) as one:
        comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=400)

        assert standing(one) == "at_ga"
        assert actions(one)[-3:] == ["start", "advance", "advance"]


@slow
@pytest.mark.timeout(600)
def test_three_times_the_errors_are_rolled_back(tmp_path: Path):
    plan = one_step(30, 60, ["errors"], WIDE)
    with playing(tmp_path, plan, candidate={"errors": "{ 500 = 0.09 }"}, errors="{ 500 = 0.03 }") as one:
        comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=300)

        assert standing(one) == "rolled_back"
        one.wait_for_workers()
        time.sleep(3)
        seconds, requests = until_last_dispatch(one, settled=False)
        log.warning("errors x3: %.1f s and %d candidate requests until the last dispatch", seconds, requests)


@slow
@pytest.mark.timeout(600)
def test_half_as_long_again_for_the_slowest_is_rolled_back(tmp_path: Path):
    plan = one_step(30, 60, ["p50", "p99"], WIDE)
    with playing(tmp_path, plan, candidate={"ttft_ms": 150}, ttft_ms=100) as one:
        comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=300)

        assert standing(one) == "rolled_back"


@slow
@pytest.mark.timeout(600)
def test_half_as_long_again_for_the_slowest_hundredth_alone_is_rolled_back(tmp_path: Path):
    """Both are lognormal about the same median; the 99th percentile is exp(2.326 sigma) times that."""
    plan = one_step(30, 60, ["p50", "p99"], WIDE)
    sigma = 0.25 + math.log(1.5) / 2.326
    with playing(tmp_path, plan, candidate={"ttft_sigma": sigma}, ttft_ms=100, ttft_sigma=0.25) as one:
        found = comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=300)
        log.warning("p99 alone x1.5: %s", found["reports"][0]["summary"])

        assert standing(one) == "rolled_back"
        verdicts = {check["check"]: check["verdict"] for check in found["reports"][0]["checks"]}
        assert verdicts["p99"] == "fail"
        assert verdicts["p50"] != "fail"


@slow
@pytest.mark.timeout(600)
def test_a_twentieth_more_time_within_the_margin_passes(tmp_path: Path):
    plan = one_step(30, 60, ["p50"], WIDE)
    with playing(tmp_path, plan, candidate={"ttft_ms": 105}, ttft_ms=100) as one:
        comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=300)

        assert standing(one) == "at_ga"


@slow
@pytest.mark.timeout(600)
def test_eight_points_less_satisfaction_are_not_promoted(tmp_path: Path):
    plan = one_step(50, 60, ["errors", "satisfaction"], WIDE, "beta")
    with playing(tmp_path, plan, candidate={"quality": 0.82}, quality=0.90, feedback=lambda _: 1.0) as one:
        found = comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=400)

        assert standing(one) in {"inconclusive", "rolled_back"}
        log.warning("satisfaction -8 points: %s", found["report"]["summary"])


@slow
@pytest.mark.timeout(600)
def test_ratings_of_which_one_arm_gives_more_prove_nothing(tmp_path: Path):
    def share(answer: Answer) -> float:
        return 0.9 if answer.arm == "base" else 0.4

    plan = one_step(50, 20, ["satisfaction"], WIDE, "beta")
    with playing(tmp_path, plan, feedback=share) as one:
        found = comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=300)

        assert standing(one) == "inconclusive"
        assert "ratings cannot be compared" in str(found["report"])


@slow
@pytest.mark.timeout(600)
def test_records_that_do_not_come_hold_and_go_on_when_they_do(tmp_path: Path):
    with playing(tmp_path, one_step(30, 40, ["errors"], WIDE)) as one:
        until(lambda: gate(one)["report"] is not None, "the gate has spoken", within_s=60)
        shipper = one.pid("shipper")
        os.kill(shipper, signal.SIGSTOP)
        try:
            until(lambda: verdict(one) == "hold", "the gate holds", within_s=90, pause_s=0.25)
            time.sleep(10)
            assert (verdict(one), standing(one)) == ("hold", "running")
        finally:
            os.kill(shipper, signal.SIGCONT)
        comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=300)
        assert standing(one) == "at_ga"


@slow
@pytest.mark.timeout(600)
def test_without_any_traffic_a_step_holds_and_never_passes(tmp_path: Path):
    config = configured(one_step(30, 10, ["errors"], WIDE))
    with installed(tmp_path, config=config, simulated=models()) as one:
        start(one)
        until(lambda: verdict(one) == "hold", "the gate holds", within_s=60, pause_s=0.25)
        time.sleep(25)

        assert (verdict(one), standing(one), one.show()["percent"]) == ("hold", "running", 30)


@slow
@pytest.mark.timeout(600)
def test_arms_of_other_shares_than_due_hold_until_a_person_restarts(tmp_path: Path):
    config = configured(one_step(30, 10, ["errors"], WIDE))
    with installed(tmp_path, config=config, simulated=models()) as one:
        start(one)
        asked = ask_all(one, USERS)
        candidates = [user for user, answer in zip(USERS, asked, strict=True) if answer.arm == "candidate"]
        body = {"version": one.show()["version"], "reason": "a test"}
        one.ask("POST", f"rollouts/{ROLLOUT}/restart", body).raise_for_status()
        one.wait_for_workers()
        with load(one, [*candidates, *USERS[:20]], at_once=4, pause_s=0.05):
            until(lambda: verdict(one) == "hold", "the gate holds", within_s=60, pause_s=0.25)
        time.sleep(25)

        assert (verdict(one), standing(one)) == ("hold", "running")
        assert "are candidates" in str(gate(one)["report"]["holds"])


@slow
@pytest.mark.timeout(600)
def test_too_little_traffic_collects_with_a_forecast_and_ends_inconclusive(tmp_path: Path):
    config = configured(one_step(30, 20, ["errors"]))
    with installed(tmp_path, config=config, simulated=models()) as one:
        start(one)
        with load(one, USERS[:100], at_once=1, pause_s=0.1):
            until(lambda: "expected in" in str(gate(one)["report"]), "a forecast", within_s=60, pause_s=0.25)
            comes_to_stand(one, "at_ga", "inconclusive", "rolled_back", within_s=200)

        assert (standing(one), one.show()["percent"]) == ("inconclusive", 30)
        assert actions(one)[-2:] == ["start", "find_inconclusive"]


@slow
@pytest.mark.timeout(600)
def test_a_console_that_is_killed_again_and_again_decides_the_same_and_nothing_twice(tmp_path: Path):
    with playing(tmp_path, TWO_STEPS.replace('"satisfaction"', '"errors"').replace(', "errors"]', "]")) as one:
        random = Random(7)
        until_s = time.monotonic() + 400
        while standing_if_any(one) not in {"at_ga", "inconclusive", "rolled_back"} and time.monotonic() < until_s:
            time.sleep(random.uniform(8, 20))
            one.kill("console")
            until(lambda: standing_if_any(one) is not None, "the console is back", within_s=90)

        assert standing(one) == "at_ga"
        assert actions(one)[-3:] == ["start", "advance", "advance"]
        assert one.kills["console"] >= 2


@slow
@pytest.mark.timeout(600)
def test_from_a_total_outage_in_mid_step_to_the_last_dispatch_are_seconds(tmp_path: Path):
    config = configured(one_step(30, 120, ["errors"], WIDE))
    with installed(tmp_path, config=config, simulated=models()) as one:
        start(one)
        with load(one, USERS, at_once=8, pause_s=0.1) as answers:
            until(lambda: gate(one)["report"] is not None, "the gate has spoken", within_s=60)
            time.sleep(20)
            text = one.config.read_text()
            one.config.write_text(text.replace(one.simulated["tuned"].base_url, "http://127.0.0.1:9/v1"))
            comes_to_stand(one, "rolled_back", within_s=120)
            one.wait_for_workers()
        assert failures(answers) == []
        seconds, requests = until_last_dispatch(one)
        log.warning("mid-step outage: %.1f s, %d candidate requests until the last dispatch", seconds, requests)

        assert seconds <= BUSY_S
        assert gate(one)["report"]["is_fast_kill"]
