from __future__ import annotations

import itertools
import math
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.limits import Bucket, Room, Slots, part, share

LIMITS = st.integers(0, 10_000)
WORKERS = st.integers(1, 64)


@given(LIMITS, WORKERS)
def test_the_parts_of_all_workers_add_up_exactly_and_differ_by_one_at_most(limit: int, workers: int):
    parts = [part(limit, number, workers) for number in range(workers)]

    assert sum(parts) == limit
    assert max(parts) - min(parts) <= 1


@given(LIMITS, WORKERS)
def test_shares_rounded_up_allow_less_than_one_more_for_each_worker(limit: int, workers: int):
    assert limit <= share(limit, workers) * workers < limit + workers


@given(st.lists(st.tuples(st.sampled_from(["come", "end", "withdraw"]), st.integers(1, 4), st.integers(0, 3))))
def test_slots_are_never_over_their_limit_and_serve_the_line_in_its_order(steps: list[tuple[str, int, int]]):
    slots: Slots[int] = Slots()
    holding, line, numbers = 0, deque[int](), itertools.count()
    for step, limit, room in steps:
        before = holding
        if step == "come":
            ticket = next(numbers)
            if slots.take(limit):
                holding += 1
                assert holding <= limit
                assert not line
            elif slots.line_up(ticket, room):
                line.append(ticket)
                assert len(line) <= room
        elif step == "end" and holding:
            admitted = slots.give_back()
            assert admitted == [line.popleft() for _ in admitted]
            holding += len(admitted) - 1
            assert holding <= max(before, limit, 4)
        elif step == "withdraw" and line:
            assert slots.withdraw(line.pop())
        assert (slots.taken, slots.waiting) == (holding, len(line))

    while holding:
        holding += len(slots.give_back()) - 1
    assert (slots.taken, slots.waiting) == (0, 0)


def test_who_was_let_in_cannot_withdraw():
    slots: Slots[str] = Slots()
    slots.take(1)
    slots.line_up("late", 1)

    assert slots.give_back() == ["late"]
    assert not slots.withdraw("late")
    assert slots.taken == 1


def test_a_higher_limit_lets_in_as_many_as_it_has_room_for():
    slots: Slots[str] = Slots()
    slots.take(1)
    for ticket in ("a", "b", "c"):
        slots.line_up(ticket, 3)
    assert not slots.take(3)

    assert slots.give_back() == ["a", "b", "c"]
    assert slots.taken == 3


def test_a_lower_limit_lets_nobody_in_until_enough_have_left():
    slots: Slots[str] = Slots()
    slots.take(2)
    slots.take(2)
    assert not slots.take(1)
    slots.line_up("late", 1)

    assert slots.give_back() == []
    assert slots.give_back() == ["late"]


GAPS = st.lists(st.floats(0, 30), min_size=1, max_size=60)


@given(GAPS, st.floats(0.5, 600), st.integers(1, 20))
def test_a_bucket_gives_at_most_its_burst_and_what_flowed_in(gaps: list[float], per_minute: float, burst: int):
    bucket = Bucket()
    moments = list(itertools.accumulate(gaps))
    given_at = [now for now in moments if bucket.take(now, per_minute=per_minute, burst=burst) == 0.0]

    for first, start in enumerate(given_at):
        for last in range(first, len(given_at)):
            allowed = burst + (given_at[last] - start) * per_minute / 60
            assert last - first + 1 <= allowed + 1e-6


@given(GAPS, st.floats(0.5, 600), st.integers(1, 20))
def test_after_the_wait_that_it_names_a_bucket_gives(gaps: list[float], per_minute: float, burst: int):
    bucket = Bucket()
    for now in itertools.accumulate(gaps):
        wait_s = bucket.take(now, per_minute=per_minute, burst=burst)
        assert wait_s <= 60 / per_minute + 1e-9
        if wait_s:
            assert bucket.take(now + wait_s + 1e-6, per_minute=per_minute, burst=burst) == 0.0
            return


@given(st.integers(1, 50))
def test_a_bucket_that_rested_gives_its_burst_at_once_and_no_more(burst: int):
    bucket = Bucket()
    bucket.take(0.0, per_minute=burst, burst=burst)

    waits = [bucket.take(1000.0, per_minute=burst, burst=burst) for _ in range(burst + 1)]

    assert waits[:-1] == [0.0] * burst
    assert waits[-1] == pytest.approx(60 / burst)


def test_a_clock_that_steps_back_gives_nothing_away():
    bucket = Bucket()
    assert bucket.take(100.0, per_minute=60, burst=1) == 0.0

    assert math.isclose(bucket.take(40.0, per_minute=60, burst=1), 1.0)


@given(st.lists(st.integers(0, 100)))
def test_a_room_never_holds_more_than_its_limit(sizes: list[int]):
    room = Room(150)
    held = [size for size in sizes if room.take(size)]

    assert room.held_bytes == sum(held) <= 150
    for size in held:
        room.give_back(size)
    assert room.held_bytes == 0
