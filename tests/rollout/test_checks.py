"""One check at a tick: what is carried on, and what its numbers allow."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from analytics.sequential import optimum
from rollout.checks import Tick, applies, read, verdict_of, watched
from rollout.durations import DAY_S, HOUR_S
from rollout.phase import pace
from rollout.verdict import Watch
from tests.fakes.evidence import EQUAL, HOLDBACK, PROOF, evidence, sums

LOOK = Tick(running_s=5 * DAY_S, look=1, looks=1, dwell_s=5 * DAY_S)


def test_the_optimum_looks_ahead_to_the_dwell_and_never_from_less_than_an_hour():
    early = watched(PROOF, Watch(), EQUAL, 60.0)
    hour = watched(PROOF, Watch(), EQUAL, HOUR_S)
    later = watched(PROOF, Watch(), EQUAL, DAY_S)
    found = read("errors", PROOF, later, EQUAL, LOOK)

    assert early.v_opt == hour.v_opt
    assert found is not None
    assert later.v_opt["errors"] == optimum(found.found.clock, dwell_s=5 * DAY_S, running_s=DAY_S)


def test_an_hour_of_a_short_step_is_short():
    short = replace(PROOF, row=replace(PROOF.row, dwell_s=48.0))

    assert pace(short.row).hour_s == 1.0
    assert watched(short, Watch(), EQUAL, 0.5).v_opt == watched(short, Watch(), EQUAL, 1.0).v_opt
    assert watched(short, Watch(), EQUAL, 2.0).v_opt != watched(short, Watch(), EQUAL, 1.0).v_opt


def test_where_nothing_varies_the_optimum_waits():
    flat = sums(100, 1, 2)

    assert "errors" not in watched(PROOF, Watch(), evidence(errors=flat), DAY_S).v_opt


def test_a_check_that_became_deaf_stays_so():
    pulling = evidence(drift={"errors": -0.5, "p50": -0.01, "p99": None})
    watch = watched(PROOF, Watch(), pulling, DAY_S)

    assert watch.deaf == ("errors",)
    assert watched(PROOF, watch, EQUAL, 2 * DAY_S).deaf == ("errors",)


def test_a_tick_knows_the_next_look():
    assert Tick(running_s=DAY_S, look=0, looks=0, dwell_s=5 * DAY_S).next_look_s == 4 * DAY_S
    assert Tick(running_s=6 * DAY_S, look=0, looks=1, dwell_s=5 * DAY_S).next_look_s == 4 * DAY_S
    assert Tick(running_s=12 * DAY_S, look=0, looks=1, dwell_s=5 * DAY_S).next_look_s == 0
    assert Tick(running_s=12 * DAY_S, look=0, looks=2, dwell_s=5 * DAY_S).next_look_s is None


def test_only_the_time_to_the_first_token_may_not_apply():
    silent = evidence(inapplicable=("ttft", "errors"))

    assert not applies("ttft", PROOF, silent)
    assert applies("errors", PROOF, silent)
    assert not applies("ttft", replace(PROOF, references={"p50": 1.0, "p99": 2.0}), EQUAL)
    assert applies("ttft", replace(PROOF, references={"ttft": None}), EQUAL)


def test_what_was_never_seen_is_not_read():
    assert read("satisfaction", PROOF, Watch(), EQUAL, LOOK) is None
    assert read("errors", PROOF, Watch(), evidence(errors=sums(1, 20, 1)), LOOK) is None


@pytest.mark.parametrize(
    ("looks", "look", "verdict"), [(0, 0, "collecting"), (1, 1, "collecting"), (2, 2, "inconclusive")]
)
def test_without_evidence_a_check_is_collecting_then_inconclusive(looks: int, look: int, verdict: str):
    tick = Tick(running_s=DAY_S, look=look, looks=looks, dwell_s=DAY_S)  # pyright: ignore[reportArgumentType] - 0 to 2

    assert verdict_of(None, "errors", PROOF, Watch(), tick) == verdict


def test_beside_a_holdback_a_check_never_passes():
    found = read("errors", HOLDBACK, Watch(), EQUAL, LOOK)

    assert found is not None
    assert found.is_proven
    assert verdict_of(found, "errors", HOLDBACK, Watch(), LOOK) == "collecting"
    assert verdict_of(found, "errors", PROOF, Watch(), LOOK) == "pass"
