"""How often a worker may send a route's requests once more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.budget import AGAIN, INSTEAD, Budget


def in_vain(budget: Budget, now: float, times: int) -> int:
    """Try so often, each time in vain, and return how often it was allowed."""
    allowed = 0
    for _ in range(times):
        if budget.take(INSTEAD, now):
            budget.failed(INSTEAD, now)
            allowed += 1
    return allowed


def asked(budget: Budget, now: float, times: int) -> None:
    for _ in range(times):
        budget.count(now)


def test_a_fifth_of_the_requests_may_be_tried_again_in_vain():
    budget = Budget()
    asked(budget, 7.5, 1000)

    assert in_vain(budget, 7.9, 1000) == 200


def test_with_few_requests_there_are_three_for_each_second():
    budget = Budget()
    budget.count(7.5)

    assert in_vain(budget, 7.5, 1000) == 3
    assert in_vain(budget, 8.5, 1000) == 3
    assert in_vain(budget, 16.5, 1000) == 24


def test_the_larger_of_both_holds_and_not_their_sum():
    budget = Budget()
    asked(budget, 0.5, 200)

    assert in_vain(budget, 0.6, 1000) == 40


def test_what_came_to_nothing_is_forgotten_after_ten_seconds_and_so_are_the_requests():
    budget = Budget()
    asked(budget, 3.9, 1000)
    assert in_vain(budget, 3.9, 1000) == 200

    asked(budget, 12.9, 10)
    assert in_vain(budget, 12.9, 10) == 2
    assert in_vain(budget, 13.0, 1000) == 6 - 2
    assert in_vain(budget, 90_000.0, 1000) == 3


@pytest.mark.parametrize("latency_s", [0, 5, 30, 90])
def test_while_tries_are_answered_there_is_no_limit_however_long_they_take(latency_s: int):
    budget = Budget()
    for now in range(200):
        asked(budget, now, 100)
        assert all(budget.take(INSTEAD, now) for _ in range(100))
        for _ in range(100 if now >= latency_s else 0):
            budget.answered(INSTEAD, now)


def test_a_same_arm_that_is_tried_in_vain_keeps_nobody_from_base():
    budget = Budget()
    for now in range(100):
        budget.count(now)
        if budget.take(AGAIN, now):
            budget.failed(AGAIN, now)
        assert budget.take(INSTEAD, now)
        budget.answered(INSTEAD, now)


def test_who_leaves_tells_nothing_of_the_try():
    budget = Budget()
    for now in range(100):
        asked(budget, now, 10)
        for _ in range(10):
            assert budget.take(INSTEAD, now)
            budget.left(INSTEAD)


def test_after_failures_those_under_way_count_until_one_is_answered():
    budget = Budget()
    asked(budget, 0.0, 1000)
    assert in_vain(budget, 0.0, 100) == 100

    assert sum(budget.take(INSTEAD, 0.5) for _ in range(1000)) == 100

    for _ in range(100):
        budget.answered(INSTEAD, 0.9)
    assert sum(budget.take(INSTEAD, 0.9) for _ in range(1000)) == 1000


def test_after_a_minute_without_tries_nothing_is_doubted():
    budget = Budget()
    asked(budget, 0.0, 1000)
    in_vain(budget, 0.0, 200)
    asked(budget, 50.0, 5)
    assert sum(budget.take(INSTEAD, 50.0) for _ in range(100)) == 3
    for _ in range(3):
        budget.left(INSTEAD)

    asked(budget, 61.0, 5)
    assert sum(budget.take(INSTEAD, 61.0) for _ in range(100)) == 100


@pytest.mark.parametrize("per_second", [20, 100])
@pytest.mark.parametrize("latency_s", [0, 1, 12, 30])
def test_where_everything_fails_a_fifth_more_is_sent_and_once_what_was_under_way(per_second: int, latency_s: int):
    budget, sent, began = Budget(), 0, [0] * 400
    for now in range(300):
        for _ in range(began[now]):
            budget.failed(INSTEAD, now)
        for _ in range(per_second):
            budget.count(now)
            if budget.take(INSTEAD, now):
                sent += 1
                if latency_s:
                    began[now + latency_s] += 1
                else:
                    budget.failed(INSTEAD, now)

    assert sent <= 0.2 * per_second * 300 + per_second * latency_s + 1


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 60), st.integers(0, 60)), max_size=40))
def test_what_fails_at_once_is_never_more_than_a_fifth_or_three_a_second(steps: list[tuple[float, int, int]]):
    budget, now = Budget(), 100.0
    came: list[int] = []
    failed: list[int] = []
    for pause_s, requests, tries in steps:
        now += pause_s
        asked(budget, now, requests)
        came += [int(now)] * requests
        tried = in_vain(budget, now, tries)
        failed += [int(now)] * tried
        window = range(int(now) - 9, int(now) + 1)
        assert not tried or sum(at in window for at in failed) <= max(0.2 * sum(at in window for at in came), 30)
