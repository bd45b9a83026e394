"""The numbers behind a verdict: all that it takes to compute it again."""

from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from rollout.checks import Reading, Tick, read, watched
from rollout.durations import DAY_S
from rollout.numbers import counts_of, figures_of, ln_odds, minima_of
from rollout.verdict import Watch
from tests.fakes.evidence import EQUAL, PROOF

TICK = Tick(running_s=5 * DAY_S, look=1, looks=1, dwell_s=5 * DAY_S)


def reading(check: str = "errors") -> Reading:
    watch = watched(PROOF, Watch(), EQUAL, 5 * DAY_S)
    found = read(check, PROOF, watch, EQUAL, TICK)  # pyright: ignore[reportArgumentType] - a check's name
    assert found is not None
    return found


def test_the_figures_compute_the_verdict_again():
    figures = figures_of(reading())
    statistic, target, candidate, error = (
        figures[name] for name in ("pass_statistic", "target", "weighted_candidate", "pass_error")
    )

    assert statistic is not None
    assert target is not None
    assert candidate is not None
    assert error is not None
    assert statistic == pytest.approx((target - candidate) / error)
    assert figures["pass_needed"] == pytest.approx(1.96, abs=1e-4)
    assert figures["z_needed_at_look"] == pytest.approx(2.807, abs=1e-3)
    assert figures["ln_odds_needed"] == pytest.approx(math.log(200))
    assert figures["margin_relative"] == 0.25
    assert "margin_ratio" not in figures


def test_latency_has_its_ratio_and_both_thresholds():
    figures = figures_of(replace(reading("p99"), ratio=(1.1, 1.0, 1.2)))

    assert figures["margin_ratio"] == 1.2
    assert figures["weighted_candidate_beyond_ratio"] == pytest.approx(0.004)
    assert (figures["ratio"], figures["ratio_low"], figures["ratio_high"]) == (1.1, 1.0, 1.2)
    assert figures_of(reading("p99"))["ratio"] is None


def test_what_cannot_be_told_is_none():
    bare = replace(reading(), proof=None, optimum=None)

    assert ln_odds(bare) is None
    assert figures_of(bare)["pass_statistic"] is None
    assert ln_odds(replace(reading(), found=replace(reading().found, z=-90.0))) is None


def test_counts_and_minima_stand_alone_too():
    assert counts_of(EQUAL.checks["errors"])["requests_candidate"] == 20_000
    assert minima_of(PROOF.margins["p99"]) == {"min_users": 100, "min_requests": 2000}
