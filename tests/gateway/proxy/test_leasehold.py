"""One limit in a host's hands: what it asks, what its workers may take then, and when they are told to come again."""

from __future__ import annotations

import pytest

from gateway.proxy.leased import GRANTED, OF_DAY, RETRY_NS, ROUND, WANTED, LeasedSheet
from gateway.proxy.leasehold import BUSY_S, Leasehold
from gateway.proxy.limits import HELD, ROW_CELLS, SPENT
from rollout.holding import Fleet, Holding
from rollout.lease import Answer, Kind

DAY = 20_000
NOW_S = DAY * 86_400.0
FLEET = Fleet(hosts=2, rank=0)
NOW_NS = 5_000_000_000
MS_NS = 1_000_000


def met(kind: Kind = "slots", limit: int = 64) -> Leasehold:
    one = Leasehold(Holding(kind=kind, name="shop", limit=limit, free=limit))
    one.meet(LeasedSheet([0] * (2 * ROW_CELLS), 0, [1], 1))
    return one


def test_what_waits_is_asked_for_with_a_spare_and_taken():
    one = met()
    one.sheet.write(WANTED, 3)
    assert one.is_wanted(NOW_S)
    one.begin()
    assert one.sheet.lease(ROUND) == 1
    assert one.ask(FLEET, NOW_S).wanted == 3 + 64 // 16
    one.take(Answer(granted=7, free=57), NOW_S, NOW_NS)

    assert [one.sheet.lease(cell) for cell in (GRANTED, ROUND, RETRY_NS)] == [7, 2, 0]


@pytest.mark.parametrize(("retry_ms", "told_ms"), [(40, 40), (0, 500)])
def test_who_gets_less_than_what_waits_is_told_when_to_ask_again(retry_ms: int, told_ms: int):
    one = met()
    one.sheet.write(WANTED, 3)
    one.is_wanted(NOW_S)
    one.take(Answer(granted=2, free=0, retry_ms=retry_ms), NOW_S, NOW_NS)

    assert one.sheet.lease(RETRY_NS) == NOW_NS + told_ms * MS_NS


def test_a_lease_that_is_busy_but_not_short_is_filled_up_and_an_idle_one_is_not():
    one = met()
    one.sheet.write(HELD, 1)
    assert one.ask(FLEET, NOW_S).wanted == 4
    one.take(Answer(granted=5, free=59), NOW_S, NOW_NS)
    one.sheet.write(HELD, 4)
    assert one.ask(FLEET, NOW_S + 0.1).wanted > 0
    assert one.ask(FLEET, NOW_S + BUSY_S + 0.2).wanted == 0


def test_what_is_idle_is_taken_from_the_workers_before_it_is_given_back():
    one = met()
    one.take(Answer(granted=40, free=24), NOW_S, NOW_NS)
    one.sheet.write(HELD, 3)
    said = one.ask(FLEET, NOW_S + 1)

    assert one.sheet.lease(GRANTED) == said.has == 3 + 24 // 16
    assert said.held == 3


def test_a_host_without_the_store_goes_by_its_part_and_one_that_ends_keeps_what_is_in_use():
    one = met()
    one.sheet.write(HELD, 2)
    one.go_alone(FLEET, NOW_S, NOW_NS, is_young=False)
    assert one.sheet.lease(GRANTED) == 32
    one.give_back()
    assert one.sheet.lease(GRANTED) == 2

    rate = met("rate")
    rate.take(Answer(granted=5, free=9), NOW_S, NOW_NS)
    rate.give_back()
    assert rate.sheet.lease(GRANTED) == 0
    assert rate.ask(FLEET, NOW_S).back == 5


@pytest.mark.parametrize("is_young", [False, True])
def test_tokens_that_a_host_gave_itself_and_did_not_use_are_the_buckets_when_the_store_answers(*, is_young: bool):
    one = met("rate", 120)
    one.go_alone(FLEET, NOW_S, NOW_NS, is_young=is_young)
    assert (one.sheet.lease(GRANTED), one.holding.owed) == (60, 60)
    one.sheet.write(SPENT, 10)
    said = one.ask(FLEET, NOW_S + 0.5)
    assert (said.has, said.owed, said.back) == (7, 60, 43)
    one.go_alone(FLEET, NOW_S + 0.5, NOW_NS, is_young=is_young)
    assert one.sheet.lease(GRANTED) == 60
    assert one.holding.owed == 60

    one.ask(FLEET, NOW_S + 1)
    one.take(Answer(granted=0, free=108), NOW_S + 1, NOW_NS)
    assert (one.sheet.lease(GRANTED), one.holding.owed) == (17, 0)


def test_of_what_was_kept_and_what_workers_go_by_the_newer_counts():
    sheet = LeasedSheet([0] * (2 * ROW_CELLS), 0, [1], 1)
    sheet.write_lease(GRANTED, 9)
    sheet.write_lease(OF_DAY, DAY)
    kept = Leasehold(Holding(kind="cost", name="shop", limit=64, granted=20, day=DAY + 1))
    kept.meet(sheet)
    assert (kept.holding.granted, kept.holding.day) == (20, DAY + 1)

    old = Leasehold(Holding(kind="cost", name="shop", limit=64, granted=20, day=DAY - 1))
    old.meet(sheet)
    assert (old.holding.granted, old.holding.day) == (9, DAY)

    fresh = Leasehold(Holding(kind="rate", name="shop", limit=64, granted=20))
    fresh.meet(LeasedSheet([0] * (2 * ROW_CELLS), 0, [1], 1))
    assert fresh.holding.granted == 20


def test_a_changed_limit_is_taken_over():
    one = met(limit=64)
    one.be_limited(8)

    assert one.ask(FLEET, NOW_S).limit == 8
