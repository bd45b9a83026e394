"""How often a worker may send requests once more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.budget import Budget


def taken(budget: Budget, now: float, times: int) -> int:
    return sum(budget.take(now) for _ in range(times))


def test_a_fifth_of_the_requests_may_be_tried_again():
    budget = Budget()
    for _ in range(1000):
        budget.count(7.5)

    assert taken(budget, 7.9, 1000) == 200


def test_without_requests_there_are_three_for_each_second():
    assert taken(Budget(), 7.5, 1000) == 30


def test_the_larger_of_both_holds_and_not_their_sum():
    budget = Budget()
    for _ in range(200):
        budget.count(0.5)

    assert taken(budget, 0.6, 1000) == 40


def test_what_was_spent_comes_back_after_ten_seconds():
    budget = Budget()
    assert taken(budget, 3.9, 1000) == 30

    assert taken(budget, 12.9, 10) == 0
    assert taken(budget, 13.0, 1000) == 30
    assert taken(budget, 90_000.0, 1000) == 30


def test_requests_count_for_ten_seconds():
    budget = Budget()
    for _ in range(1000):
        budget.count(1.0)

    assert taken(budget, 10.9, 10) == 10
    assert taken(budget, 11.0, 1000) == 20


def test_a_try_that_was_answered_costs_nothing():
    budget = Budget()

    for _ in range(1000):
        assert budget.take(7.5)
        budget.answered(7.6)


def test_what_was_answered_makes_room_for_ten_seconds_from_its_answer():
    budget = Budget()
    assert taken(budget, 0.0, 1000) == 30
    for _ in range(30):
        budget.answered(9.0)

    assert taken(budget, 9.5, 1000) == 30
    assert taken(budget, 19.5, 1000) == 30


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 60), st.integers(0, 60), st.floats(0, 1)), max_size=40),
)
def test_in_ten_seconds_never_more_than_a_fifth_or_thirty_goes_unanswered(steps: list[tuple[float, int, int, float]]):
    budget, now = Budget(), 100.0
    asked: list[int] = []
    again: list[int] = []
    answered: list[int] = []
    for pause_s, requests, tries, share in steps:
        now += pause_s
        for _ in range(requests):
            budget.count(now)
            asked.append(int(now))
        for _ in range(tries):
            if budget.take(now):
                again.append(int(now))
                window = range(int(now) - 9, int(now) + 1)
                limit = max(0.2 * sum(at in window for at in asked), 30)
                assert sum(at in window for at in again) - sum(at in window for at in answered) <= limit
        for _ in range(round((len(again) - len(answered)) * share)):
            budget.answered(now)
            answered.append(int(now))
