from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.proxy.limits import HELD, ROW_CELLS, STALE_NS, Bucket, Room, Sheet, Slots
from tests.fakes.turns import Stage

SECOND = 1_000_000_000
NOW = 5 * SECOND


def shared(workers: int) -> list[Sheet]:
    """Return one sheet as each of so many workers sees it."""
    cells = [0] * (workers * ROW_CELLS)
    return [Sheet(cells, row, [workers]) for row in range(workers)]


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_parts_rounded_up_allow_less_than_one_more_for_each_worker(limit: int, workers: int):
    assert limit <= Sheet.private(workers).part(limit) * workers < limit + workers


@given(st.lists(st.tuples(st.sampled_from(["come", "end", "withdraw"]), st.integers(1, 4), st.integers(0, 3))))
def test_slots_are_never_over_their_limit_and_serve_the_line_in_its_order(steps: list[tuple[str, int, int]]):
    slots: Slots[int] = Slots()
    holding, line, numbers = 0, deque[int](), itertools.count()
    for now, (step, limit, room) in enumerate(steps, start=NOW):
        before = holding
        if step == "come":
            ticket = next(numbers)
            if slots.take(limit, now):
                holding += 1
                assert holding <= limit
                assert not line
            elif slots.line_up(ticket, room, now):
                line.append(ticket)
                assert len(line) <= room
        elif step == "end" and holding:
            admitted = slots.give_back(now)
            assert admitted == [line.popleft() for _ in admitted]
            holding += len(admitted) - 1
            assert holding <= max(before, limit, 4)
        elif step == "withdraw" and line:
            assert slots.withdraw(line.pop())
        assert (slots.taken, slots.waiting) == (holding, len(line))

    while holding:
        holding += len(slots.give_back(NOW)) - 1
    assert (slots.taken, slots.waiting) == (0, 0)


def test_who_was_let_in_cannot_withdraw():
    slots: Slots[str] = Slots()
    slots.take(1, NOW)
    slots.line_up("late", 1, NOW)

    assert slots.give_back(NOW) == ["late"]
    assert not slots.withdraw("late")
    assert slots.taken == 1


def test_a_higher_limit_lets_in_as_many_as_it_has_room_for():
    slots: Slots[str] = Slots()
    slots.take(1, NOW)
    for ticket in ("a", "b", "c"):
        slots.line_up(ticket, 3, NOW)
    assert not slots.take(3, NOW)

    assert slots.give_back(NOW) == ["a", "b", "c"]
    assert slots.taken == 3


def test_a_lower_limit_lets_nobody_in_until_enough_have_left():
    slots: Slots[str] = Slots()
    slots.take(2, NOW)
    slots.take(2, NOW)
    assert not slots.take(1, NOW)
    slots.line_up("late", 1, NOW)

    assert slots.give_back(NOW) == []
    assert slots.give_back(NOW) == ["late"]


def test_one_worker_has_the_whole_limit_while_others_are_idle():
    slots = [Slots[str](sheet) for sheet in shared(3)]

    assert [slots[1].take(5, NOW) for _ in range(6)] == [True] * 5 + [False]
    assert not slots[0].take(5, NOW)
    slots[1].give_back(NOW)
    assert slots[0].take(5, NOW)
    assert not slots[2].take(5, NOW)


def test_the_room_in_a_line_is_shared_too():
    one, other = (Slots[str](sheet) for sheet in shared(2))
    one.take(1, NOW)

    assert one.line_up("a", 2, NOW)
    assert other.line_up("b", 2, NOW)
    assert not one.line_up("c", 2, NOW)
    assert not other.line_up("d", 2, NOW)
    other.withdraw("b")
    assert one.line_up("c", 2, NOW)


def test_who_waits_longest_on_the_host_is_let_in_first():
    one, other = (Slots[str](sheet) for sheet in shared(2))
    one.take(1, NOW)
    other.take(1, NOW)
    other.line_up("first", 9, NOW + 1)
    one.take(1, NOW + 2)
    one.line_up("second", 9, NOW + 2)

    assert one.give_back(NOW + 3) == []
    assert not one.take(1, NOW + 3)
    assert other.admit(NOW + 4) == ["first"]
    assert one.admit(NOW + 5) == []
    assert other.give_back(NOW + 6) == []
    assert one.admit(NOW + 7) == ["second"]


def test_nobody_waits_for_a_worker_that_no_longer_looks_after_its_line():
    one, stalled = (Slots[str](sheet) for sheet in shared(2))
    one.take(1, NOW)
    stalled.take(1, NOW)
    stalled.line_up("forgotten", 9, NOW)

    assert one.give_back(NOW + 1) == []
    assert not one.take(1, NOW + STALE_NS - 1)
    assert one.take(1, NOW + STALE_NS)


TURNS = st.lists(st.integers(0, 2), max_size=200)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(st.sampled_from(["take", "take", "end"]), max_size=8), min_size=3, max_size=3),
    st.integers(1, 4),
    TURNS,
)
def test_in_whatever_order_reads_and_writes_fall_workers_never_hold_more_than_the_limit(
    plays: list[list[str]], limit: int, turns: list[int]
):
    stage = Stage(3)
    slots = [Slots[str](sheet) for sheet in stage.sheets]

    def script(at: int) -> Callable[[], None]:
        def run() -> None:
            for step in plays[at]:
                if step == "take":
                    slots[at].take(limit, NOW)
                elif slots[at].taken:
                    slots[at].give_back(NOW)

        return run

    def check() -> None:
        assert sum(one.taken for one in slots) <= limit

    stage.play([script(at) for at in range(3)], turns, check)
    assert sum(stage.sheets[0].column(HELD)) == sum(one.taken for one in slots)
    free = limit - sum(one.taken for one in slots)
    assert [slots[0].take(limit, NOW) for _ in range(free + 1)] == [True] * free + [False]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=3, max_size=3), st.integers(1, 5), TURNS)
def test_in_whatever_order_reads_and_writes_fall_a_rate_is_exceeded_by_one_for_each_worker_at_most(
    plays: list[list[int]], rate: int, turns: list[int]
):
    stage = Stage(3)
    buckets = [Bucket(sheet) for sheet in stage.sheets]
    now = [NOW]
    given_at: list[int] = []

    def script(at: int) -> Callable[[], None]:
        def run() -> None:
            for pause_s in plays[at]:
                now[0] += pause_s * SECOND
                if buckets[at].take(rate, now[0]) == 0.0:
                    given_at.append(now[0])

        return run

    stage.play([script(at) for at in range(3)], turns, lambda: None)
    assert_within(given_at, rate, more=3)


def assert_within(given_at: Sequence[int], rate: int, *, more: int = 0) -> None:
    """Fail if in any interval more was given than the rate allows and `more`."""
    for first, start in enumerate(given_at):
        for last in range(first, len(given_at)):
            allowed = rate * (1 + (given_at[last] - start) / SECOND / 60)
            assert last - first + 1 <= allowed + more + 1e-6


ASKED = st.lists(st.tuples(st.integers(0, 2), st.floats(0, 30)), min_size=1, max_size=60)


@given(ASKED, st.integers(1, 20))
def test_workers_together_give_at_most_a_minutes_worth_and_what_flowed_in(asked: list[tuple[int, float]], rate: int):
    buckets = [Bucket(sheet) for sheet in shared(3)]
    now, given_at = NOW, list[int]()
    for at, gap_s in asked:
        now += int(gap_s * SECOND)
        if buckets[at].take(rate, now) == 0.0:
            given_at.append(now)

    assert_within(given_at, rate)


@given(ASKED, st.integers(1, 20))
def test_workers_together_give_what_one_alone_would_give(asked: list[tuple[int, float]], rate: int):
    buckets, alone = [Bucket(sheet) for sheet in shared(3)], Bucket()
    now = NOW
    for at, gap_s in asked:
        now += int(gap_s * SECOND)
        assert buckets[at].take(rate, now) == alone.take(rate, now)


@given(ASKED, st.integers(1, 600))
def test_after_the_wait_that_it_names_every_worker_gives(asked: list[tuple[int, float]], rate: int):
    buckets = [Bucket(sheet) for sheet in shared(3)]
    now = NOW
    for at, gap_s in asked:
        now += int(gap_s * SECOND)
        wait_s = buckets[at].take(rate, now)
        assert wait_s <= 60 / rate + 1e-6
        if wait_s:
            later = now + math.ceil(wait_s * SECOND) + 1
            assert buckets[(at + 1) % 3].take(rate, later) == 0.0
            return


@given(st.integers(1, 50))
def test_a_bucket_that_rested_gives_a_minutes_worth_at_once_and_no_more(rate: int):
    bucket = Bucket()
    bucket.take(rate, NOW)

    waits = [bucket.take(rate, NOW + 1000 * SECOND) for _ in range(rate + 1)]

    assert waits[:-1] == [0.0] * rate
    assert waits[-1] == pytest.approx(60 / rate)


def test_a_clock_that_steps_back_gives_nothing_away():
    bucket = Bucket()
    assert bucket.take(1, 100 * SECOND) == 0.0

    assert bucket.take(1, 90 * SECOND) == pytest.approx(70.0)


def test_after_a_restart_of_the_machine_a_bucket_is_not_closed_for_as_long_as_it_ran():
    sheets = shared(2)
    former = [Bucket(sheet) for sheet in sheets]
    for bucket in former:
        assert bucket.take(2, 1_000_000 * SECOND) == 0.0

    restarted = [Bucket(sheet) for sheet in sheets]

    assert [restarted[at].take(2, SECOND) for at in (0, 1)] == [0.0, 0.0]
    assert restarted[0].take(2, SECOND) == pytest.approx(30.0)


def test_a_worker_that_takes_over_a_row_gives_no_second_minutes_worth():
    sheets = shared(2)
    bucket = Bucket(sheets[0])
    assert [bucket.take(3, NOW) for _ in range(3)] == [0.0, 0.0, 0.0]

    assert Bucket(sheets[0]).take(3, NOW) > 0
    assert Bucket(sheets[1]).take(3, NOW) > 0


@given(st.lists(st.integers(0, 100)))
def test_a_room_never_holds_more_than_its_limit(sizes: list[int]):
    room = Room(150)
    held = [size for size in sizes if room.take(size)]

    assert room.held_bytes == sum(held) <= 150
    for size in held:
        room.give_back(size)
    assert room.held_bytes == 0
