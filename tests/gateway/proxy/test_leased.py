"""A host's lease: its workers share exactly what the host was granted, whatever the limit is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.leased import GRANTED, OF_DAY, RETRY_NS, ROUND, WANTED, LeasedBucket, LeasedSheet, used_of
from gateway.proxy.limits import ROW_CELLS, Slots
from gateway.proxy.purse import Purse

SECOND = 1_000_000_000
WORKERS = 3
DAY = 20_000


def shared() -> list[LeasedSheet]:
    """Return one limit's cells as each worker sees them; the lease stands behind their rows."""
    cells = [0] * ((WORKERS + 1) * ROW_CELLS)
    return [LeasedSheet(cells, row, [WORKERS], WORKERS) for row in range(WORKERS)]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "give back"]), st.integers(0, 6))), st.integers(1, 9)
)
def test_workers_take_as_many_slots_as_the_host_was_granted_and_no_more_than_the_limit(
    steps: list[tuple[int, str, int]], limit: int
):
    sheets = shared()
    slots = [Slots[str](sheet) for sheet in sheets]
    for worker, step, granted in steps:
        sheets[0].write_lease(GRANTED, granted)
        held = sum(one.taken for one in slots)
        if step == "take":
            assert slots[worker].take(limit, 1) == (held < min(granted, limit))
        elif slots[worker].taken:
            slots[worker].give_back(1)
        assert used_of(sheets[1], "slots", 0) == sum(one.taken for one in slots)


def test_a_token_that_was_granted_is_spent_once_by_whichever_worker():
    sheets = shared()
    buckets = [LeasedBucket(sheet) for sheet in sheets]
    sheets[0].write_lease(GRANTED, 4)

    assert [bucket.take(60, 0) for _ in range(2) for bucket in buckets] == [0.0] * 4 + [1.0, 1.0]
    assert used_of(sheets[0], "rate", 0) == 4
    assert LeasedBucket(sheets[0]).take(60, 0) == 1.0
    sheets[0].write_lease(GRANTED, 5)
    assert LeasedBucket(sheets[0]).take(60, 0) == 0.0


@pytest.mark.parametrize(("retry_s", "told_s"), [(0, 10.0), (7, 7.0), (59, 59.0), (3_600, 10.0)])
def test_who_finds_no_token_is_told_what_the_store_said_or_when_the_rate_gives_the_next(retry_s: int, told_s: float):
    sheet = shared()[0]
    sheet.write_lease(RETRY_NS, SECOND + retry_s * SECOND)

    assert LeasedBucket(sheet).take(6, SECOND) == told_s


def test_a_days_money_is_spent_of_the_lease_of_that_day():
    sheet, other, _ = shared()
    sheet.write_lease(OF_DAY, DAY)
    sheet.write_lease(GRANTED, 100)
    purse = Purse(sheet)

    assert purse.set_aside(60, 1_000, DAY)
    assert not Purse(other).set_aside(60, 1_000, DAY)
    assert used_of(other, "cost", DAY) == 60
    assert used_of(other, "cost", DAY + 1) == 0


@pytest.mark.parametrize(("now", "awaited"), [(0, 2), (1, 4), (2, 4), (3, 6)])
def test_a_round_that_was_under_way_tells_nothing_to_who_asks_during_it(now: int, awaited: int):
    sheet = shared()[0]
    sheet.write_lease(ROUND, now)

    assert sheet.next_round() == awaited


def test_what_all_workers_requests_wait_for_is_wanted():
    sheets = shared()
    for amount, sheet in enumerate(sheets):
        sheet.write(WANTED, amount)

    assert sheets[0].wanted == 3
