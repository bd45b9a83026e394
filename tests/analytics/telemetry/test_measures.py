from __future__ import annotations

from collections.abc import Callable

import pytest

from analytics.feedback import Feedback
from analytics.record import Attempt, Record
from analytics.telemetry.exposition import exposition
from analytics.telemetry.measures import Measures

Settled = Callable[..., Record]
SPLIT = 'rollout="sales",arm="candidate",model="tuned",purpose="live"'


def lines(*records: Record, feedback: tuple[Feedback, ...] = ()) -> set[str]:
    measures = Measures(lambda model: model if model == "tuned" else "(other)")
    for record in records:
        measures.take(record)
    for one in feedback:
        measures.take_feedback(one)
    return {line for line in exposition(measures.families()).splitlines() if not line.startswith("#")}


def test_an_answer_counts_by_rollout_arm_model_purpose_and_outcome(settled: Settled) -> None:
    told = lines(settled())

    assert told >= {
        f'turnout_requests_total{{{SPLIT},outcome="ok",reason="split"}} 1',
        f'turnout_request_duration_seconds_bucket{{{SPLIT},outcome="ok",le="0.64"}} 0',
        f'turnout_request_duration_seconds_bucket{{{SPLIT},outcome="ok",le="1.28"}} 1',
        f'turnout_request_duration_seconds_sum{{{SPLIT},outcome="ok"}} 1',
        f'turnout_time_to_first_token_seconds_bucket{{{SPLIT},le="0.16"}} 1',
        "turnout_overhead_seconds_sum 0.1",
        f'turnout_tokens_sum{{{SPLIT},type="input"}} 300',
        f'turnout_tokens_sum{{{SPLIT},type="output"}} 40',
        f"turnout_cost_usd_sum{{{SPLIT}}} 0.002",
        'turnout_attempts_total{upstream="own",error_class=""} 1',
        'turnout_application_requests_total{application="shop",purpose="live",outcome="ok"} 1',
        'turnout_application_cost_usd_total{application="shop",purpose="live"} 0.002',
    }
    assert not any(line.startswith(("turnout_errors", "turnout_fallbacks", "turnout_cost_unknown")) for line in told)


def test_what_is_not_known_is_counted_nowhere(settled: Settled) -> None:
    unknown = dict.fromkeys(("latency_ms", "ttft_ms", "overhead_ms", "input_tokens", "output_tokens", "cost_usd"))
    told = lines(settled(**unknown, cost_unknown="no_price"))

    assert not [line for line in told if "_count" in line]
    assert 'turnout_cost_unknown_total{model="tuned",cause="no_price"} 1' in told


def test_a_cost_of_nothing_is_a_cost(settled: Settled) -> None:
    assert f"turnout_cost_usd_count{{{SPLIT}}} 1" in lines(settled(cost_usd=0.0))


def test_a_fallback_counts_for_the_arm_that_was_assigned_and_each_try_for_its_upstream(settled: Settled) -> None:
    failed = Attempt(
        arm="candidate", model="tuned", upstream="own", status=None, error_class="connect_refused", upstream_ms=1.0
    )
    helped = Attempt(arm="base", model="plain", upstream="far", status=200, error_class=None, upstream_ms=9.0)
    told = lines(settled(arm_served="base", attempts=[failed, helped], fallback_reason="upstream_error"))

    assert f'turnout_requests_total{{{SPLIT},outcome="ok",reason="split"}} 1' in told
    assert 'turnout_fallbacks_total{rollout="sales",cause="upstream_error"} 1' in told
    assert 'turnout_attempts_total{upstream="own",error_class="connect_refused"} 1' in told
    assert 'turnout_attempts_total{upstream="far",error_class=""} 1' in told


def test_a_failure_counts_by_its_word(settled: Settled) -> None:
    told = lines(settled(outcome="upstream_error", error_class="http_500"))

    assert 'turnout_errors_total{rollout="sales",arm="candidate",error_class="http_500"} 1' in told


def test_a_refused_request_has_no_model_and_no_unknown_cost(settled: Settled) -> None:
    nothing = dict.fromkeys(("rollout", "arm_assigned", "model_served", "application", "reason", "cost_usd"))
    told = lines(settled(**nothing, outcome="rejected", attempts=[], cost_unknown="no_usage"))

    absent = 'rollout="",arm="",model="",purpose="live"'
    assert f'turnout_requests_total{{{absent},outcome="rejected",reason=""}} 1' in told
    assert not any(line.startswith("turnout_cost_unknown") for line in told)


def test_a_thousand_invented_models_are_one_series(settled: Settled) -> None:
    told = lines(*(settled(seq, model_served=f"invented-{seq}") for seq in range(1000)))

    split = SPLIT.replace("tuned", "(other)")
    counted = [line for line in told if line.startswith("turnout_requests_total")]
    assert counted == [f'turnout_requests_total{{{split},outcome="ok",reason="split"}} 1000']


@pytest.mark.parametrize(
    ("said", "verdicts"),
    [
        ({"thumb": "up"}, ["up"]),
        ({"rating": 4}, ["rating_4"]),
        ({"signal": "copied"}, ["copied"]),
        ({"thumb": "down", "signal": "regenerated"}, ["down", "regenerated"]),
    ],
)
def test_feedback_counts_by_what_it_says(said: dict[str, object], verdicts: list[str]) -> None:
    one = {"feedback_id": "0199b0c0-0000-7000-8000-000000000001", "seq": 1, "received_at": 1, "application": "shop"}
    feedback = Feedback(**{**one, **said})

    assert lines(feedback=(feedback,)) == {
        f'turnout_feedback_total{{application="shop",verdict="{verdict}"}} 1' for verdict in verdicts
    }
