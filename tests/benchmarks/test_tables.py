"""Few runs of what `make simulate` plays in full. Their random numbers are fixed: the figures are always the same."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.gates.runs import Table, missed, played

pytest.importorskip("numpy", reason="not exercised: numpy is not installed; `make clients` does it")

from benchmarks.gates import false_rollback, kill, latency, margin, monitoring, protocol, ratio, suggested, whole

SEED = 3


def figures(table: Table, case: str, runs: int) -> dict[str, Any]:
    """Return the figures of the one row whose name contains this."""
    (row,) = played(table.only(case), runs=runs, seed=SEED, jobs=1)["rows"]
    return {name: each["value"] for name, each in row["figures"].items()}


def test_peeking_calls_equal_arms_different_and_our_rule_does_not():
    found = figures(protocol.table(), "A/A, ICC 0.01", 25)

    assert found["naive"] >= 0.2
    assert found["FAIL"] <= 0.04
    assert found["PASS"] >= 0.8


def test_a_candidate_with_three_times_the_errors_is_rolled_back_within_days():
    found = figures(protocol.table(), "x3", 10)

    assert found["FAIL"] == 1.0
    assert found["FAIL h"] <= 48
    assert found["PASS"] == 0.0


@pytest.mark.parametrize("pattern", ["bursts then learning", "alternating", "second half x7"])
def test_equal_arms_are_not_rolled_back_however_errors_change_in_time(pattern: str):
    found = figures(false_rollback.table(), f"ICC 0.09, {pattern}, 50 % of 200,", 15)

    assert found["rolled back"] <= 1 / 15


def test_candidates_at_the_margin_seldom_pass():
    table = margin.two_looks()

    assert not missed([played(table.only("ICC 0.01, 10 %"), runs=100, seed=SEED, jobs=1)])


def test_nothing_passes_below_the_minima():
    assert not missed([played(margin.below_minima(), runs=10, seed=SEED, jobs=1)])


def test_slower_candidates_are_rolled_back_and_equal_ones_are_not():
    table = latency.table()

    assert figures(table, "p99 x1.5, margin 1.2, 50 %", 5)["FAIL"] == 1.0
    assert figures(table, "p99 x1, margin 1.2, 50 %", 10) == {"FAIL": 0.0, "PASS": 1.0}


@pytest.mark.parametrize(("case", "most"), [("10 %, outage at hour 0", 6), ("50 %, outage at hour 100", 35)])
def test_an_outage_costs_a_handful_of_requests(case: str, most: int):
    assert figures(kill.table(), case, 15)["requests"] <= most


def test_a_wrong_split_is_noticed_and_a_right_one_is_not():
    table = ratio.table()

    assert figures(table, "5 % due, 7.5 % dealt", 15)["users"] <= 4_000
    assert figures(table, "10 % as due", 5)["alarm"] == 0.0


def test_the_watch_after_a_rollout_hears_two_standard_errors_within_hours():
    assert figures(monitoring.table(), "2 σ", 15)["hours"] <= 7


@pytest.mark.slow
def test_a_whole_rollout_is_played_from_canary_to_general_availability():
    found = figures(whole.table(), "half of them new each day", 1)

    assert found["canary rolled back"] == 0.0
    assert found["days"] >= 21


@pytest.mark.slow
def test_a_suggested_plan_is_told_and_played():
    (row,) = played(suggested.table().only("50,000"), runs=1, seed=SEED, jobs=1)["rows"]

    assert row["figures"]["reached GA"]["value"] in {0.0, 1.0}
    assert "beta 50 %" in row["note"]
