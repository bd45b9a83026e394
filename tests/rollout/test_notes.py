"""What is only reported: cost, the net score, answers of base."""

from __future__ import annotations

from rollout.notes import notes
from tests.fakes.evidence import EQUAL, evidence, sums


def test_nothing_is_reported_of_what_is_not_known():
    assert notes(EQUAL) == ()
    assert notes(evidence(cost=sums(400, 20, 0.0), costed_share_base=1.0, costed_share_candidate=1.0)) == ()


def test_cost_is_a_ratio_of_a_fixed_sample():
    (line,) = notes(evidence(cost=sums(400, 20, 1.3, base_events=1), costed_share_base=1.0, costed_share_candidate=1.0))

    assert line.startswith("cost: 1.30 times base's for a request (95 % interval 1.2")
    assert line.endswith(", fixed sample); 8,000 requests")


def test_cost_that_is_known_of_too_few_is_not_compared():
    (line,) = notes(evidence(cost=sums(400, 20, 1), costed_share_base=1.0, costed_share_candidate=0.91))

    assert (
        line == "cost: not comparable. It is known of 91.0 % of candidate's requests and 100.0 % of base's, 95 % needed"
    )


def test_the_net_score_and_answers_of_base_are_told():
    assert notes(evidence(net_base=0.034, net_candidate=0.021, fallback_share=0.004)) == (
        "net score of all answered requests, without feedback 0: candidate +0.02, base +0.03",
        "base answered 0.4 % of candidate's requests; each counts as an error of the candidate",
    )
