from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from analytics.evidence import Check
from analytics.figures import ClusterSums
from analytics.quantile import GRID
from rollout.checks import LOOKS
from rollout.gate import judge
from rollout.ratios import caps_of, ratios
from rollout.verdict import Watch
from tests.fakes.evidence import AT, EQUAL, PROOF, arm, evidence, slow

SEEN = evidence(p99=slow(1000, 20, 0.01, beyond=0.004))
SLOWER: Mapping[Check, Mapping[float, ClusterSums]] = {
    "p99": {factor: arm(1000, 20, 20 * 0.01 * factor**-5).x for factor in GRID}
}
WATCH = Watch(v_opt={"p99": 1e6})


def test_ratios_are_asked_of_latency_checks_that_are_judged_and_have_users():
    assert caps_of(PROOF, EQUAL) == {"p50": 20, "p99": 20, "ttft": 20}
    assert set(caps_of(PROOF, replace(EQUAL, inapplicable=("ttft",)))) == {"p50", "p99"}
    assert set(caps_of(replace(PROOF, row=replace(PROOF.row, checks=("errors", "p50"))), EQUAL)) == {"p50"}
    assert set(caps_of(PROOF, evidence(p50=slow(1, 20, 0.5, beyond=0.4)))) == {"p99", "ttft"}


def test_the_bound_of_a_look_is_within_the_margin_if_and_only_if_it_passes():
    for beyond in (0.003, 0.005, 0.007, 0.0085, 0.01):
        seen = evidence(p99=slow(1000, 20, 0.01, beyond=beyond))
        found = ratios(PROOF, Watch(), seen, SLOWER, look=1)
        report, _ = judge(PROOF, Watch(), seen, at=AT, running_s=5e5, look=1)
        [p99] = [check for check in report.checks if check.check == "p99"]

        assert (found["p99"][2] <= PROOF.margins["p99"].ratio + 1e-9) == (p99.verdict == "pass"), beyond


def test_between_looks_the_interval_is_safe_to_read_at_any_time():
    early = ratios(PROOF, WATCH, SEEN, SLOWER, look=0)["p99"]
    at_look = ratios(PROOF, WATCH, SEEN, SLOWER, look=1)["p99"]
    late = ratios(PROOF, replace(WATCH, looks=LOOKS), SEEN, SLOWER, look=0)["p99"]

    assert at_look == late
    assert early[0] == at_look[0]
    assert early[1] < at_look[1] < at_look[0] < at_look[2] < early[2]


def test_what_nobody_can_tell_yet_has_no_ratio():
    nothing = evidence(p99=slow(1000, 20, 0.0, beyond=0.0))

    assert ratios(PROOF, Watch(), SEEN, SLOWER, look=0) == {}
    assert ratios(PROOF, Watch(), nothing, SLOWER, look=1) == {}
