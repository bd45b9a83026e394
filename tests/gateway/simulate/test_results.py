from __future__ import annotations

from typing import Any

from gateway.simulate.results import Result, Summary, UserArm, quantile, summarise, user_arms


def result(user: int, arm: str | None = None, **fields: Any) -> Result:
    return Result(**{"user": user, "stream": False, "arm": arm, "latency_ms": 10.0, **fields})


def summary(results: list[Result]) -> Summary:
    return summarise(results, wall_s=2.0, trace_s=120.0, prompts_cut=0)


def test_arms_are_summed_up_beside_each_other():
    made = summary(
        [
            result(0, "base", model="m", input_tokens=10, output_tokens=5),
            result(0, "base", model="m", stream=True, ttft_ms=3.0, latency_ms=30.0),
            result(1, "candidate", model="ft", failure="503"),
        ]
    )

    base, candidate = made.arms
    assert (base.arm, base.model, base.requests, base.users, base.failed) == ("base", "m", 2, 1, 0)
    assert (base.latency_p50_ms, base.latency_p99_ms, base.ttft_p50_ms) == (10.0, 30.0, 3.0)
    assert (base.usage_answers, base.input_tokens, base.output_tokens) == (1, 10, 5)
    assert (candidate.failed, candidate.latency_p50_ms) == (1, None)
    assert (made.failed, made.failures, made.streamed) == (1, {"503": 1}, 1)
    assert (made.compression, made.requests_per_s) == (60.0, 1.5)


def test_the_candidates_share_is_of_users_not_of_requests():
    made = summary([result(0, "candidate"), result(1, "base"), result(2, "base"), result(2, "base"), result(3, "base")])

    assert made.candidate_user_share == 0.25
    assert made.users_on_both_arms == 0


def test_a_user_on_both_arms_is_counted():
    assert summary([result(0, "candidate"), result(0, "base")]).users_on_both_arms == 1


def test_without_arms_there_is_no_share():
    made = summary([result(0), result(1)])

    assert made.candidate_user_share is None
    assert [arm.arm for arm in made.arms] == ["-"]


def test_of_nothing_nothing_is_known():
    made = summarise([], wall_s=0.0, trace_s=0.0, prompts_cut=0)

    assert (made.requests, made.arms, made.compression, made.requests_per_s) == (0, [], None, 0.0)


def test_a_quantile_is_one_of_the_values():
    assert quantile([], 0.5) is None
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0
    assert quantile([1.0], 0.01) == 1.0


def test_each_users_arms_are_listed():
    made = user_arms([result(1, "base"), result(0, "base"), result(1, "base"), result(1)], ["a", "b"])

    assert made == [
        UserArm(user="a", arm="base", requests=1),
        UserArm(user="b", arm="-", requests=1),
        UserArm(user="b", arm="base", requests=2),
    ]


def test_what_users_said_is_counted_by_arm():
    made = summary(
        [result(0, "base", liked=True), result(1, "base", liked=False), result(2, "base"), result(3, "candidate")]
    )

    assert [(arm.opinions, arm.liked) for arm in made.arms] == [(2, 1), (0, 0)]
    assert made.feedback is None
