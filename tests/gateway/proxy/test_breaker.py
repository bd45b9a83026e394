"""When a model server is left alone, and when it is asked again."""

from __future__ import annotations

import pytest

from gateway.proxy.breaker import Breaker


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(10):
        breaker.failed(at)
    return breaker


def test_every_request_passes_until_ten_have_failed_in_a_row():
    breaker = Breaker()
    for at in range(9):
        breaker.failed(at)
        assert breaker.lets_pass(at)

    breaker.failed(9.0)

    assert not breaker.lets_pass(9.0)
    assert not breaker.is_closed


def test_an_answer_begins_the_row_again():
    breaker = Breaker()
    for _ in range(5):
        for _ in range(3):
            breaker.failed(1.0)
        for _ in range(4):
            breaker.answered(1.0)

    assert breaker.is_closed


def test_twenty_failures_that_are_half_of_all_in_ten_seconds_open_it():
    breaker = Breaker()
    for _ in range(19):
        breaker.failed(1.0)
        breaker.answered(1.0)
    assert breaker.is_closed

    breaker.failed(9.0)

    assert not breaker.lets_pass(9.0)


@pytest.mark.parametrize("answers", [2, 3, 9])
def test_fewer_than_half_never_open_it(answers: int):
    breaker = Breaker()
    for step in range(400):
        for _ in range(answers):
            breaker.answered(step / 20)
        breaker.failed(step / 20)

    assert breaker.is_closed


def test_failures_of_an_earlier_window_do_not_count():
    breaker = Breaker()
    for at in (20.0, 40.0, 60.0):
        for _ in range(9):
            breaker.failed(at)
            breaker.answered(at)

    assert breaker.is_closed


def test_it_stays_open_for_five_seconds_and_then_one_request_passes():
    breaker = opened(100.0)

    assert not breaker.lets_pass(104.9)
    assert breaker.lets_pass(105.0)
    assert not breaker.lets_pass(105.0)
    assert not breaker.lets_pass(109.9)


def test_the_answer_of_that_one_closes_it():
    breaker = opened(100.0)
    assert breaker.lets_pass(105.0)

    breaker.answered(105.5)

    assert breaker.is_closed
    breaker.failed(106.0)
    assert breaker.lets_pass(106.0)


def test_its_failure_opens_it_for_five_seconds_more():
    breaker = opened(100.0)
    assert breaker.lets_pass(105.0)

    breaker.failed(107.0)

    assert not breaker.lets_pass(111.9)
    assert breaker.lets_pass(112.0)


def test_one_that_never_told_how_it_ended_is_followed_by_another():
    breaker = opened(100.0)
    assert breaker.lets_pass(105.0)

    assert breaker.lets_pass(110.0)


def test_an_answer_that_was_under_way_before_does_not_close_it():
    breaker = opened(100.0)

    breaker.answered(101.0)

    assert not breaker.lets_pass(104.0)


def test_a_failure_that_was_under_way_before_only_moves_the_moment_on():
    breaker = opened(100.0)

    breaker.failed(103.0)
    assert not breaker.lets_pass(107.9)
    breaker.failed(90.0)

    assert not breaker.lets_pass(107.9)
    assert breaker.lets_pass(108.0)
