"""Requests that found their host's lease used up: let in when there is more, sent away when there is none."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.proxy.leased import GRANTED, RETRY_NS, ROUND, WANTED, LeasedSheet
from gateway.proxy.leases import LONGEST_S, Leases
from gateway.proxy.limits import HELD, ROW_CELLS, Sheet, Slots

pytestmark = pytest.mark.anyio
LIMIT = 9
PATIENCE_S = 10.0


class Table:
    """A `LeaseBoard` with one limit, whose lessee is the test."""

    def __init__(self) -> None:
        self.cells = LeasedSheet([0] * (2 * ROW_CELLS), 0, [1], 1)
        self.poked = 0

    def leased(self, name: str) -> LeasedSheet:
        del name
        return self.cells

    def poke(self) -> None:
        self.poked += 1

    def round(self, granted: int) -> None:
        """Hold a whole conversation."""
        self.cells.write_lease(GRANTED, granted)
        self.cells.write_lease(ROUND, self.cells.lease(ROUND) + 2)


class Worker:
    """A worker's requests that want a slot each."""

    def __init__(self) -> None:
        self.table = Table()
        self.leases = Leases(self.table, time.monotonic_ns)
        self.slots = Slots[str](self.leases.sheet("any"))
        self.let_in: list[int] = []

    async def ask(self, number: int) -> bool:
        def take() -> bool:
            if is_let_in := self.slots.take(LIMIT, 1):
                self.let_in.append(number)
            return is_let_in

        return await self.leases.more(self.slots.sheet, 1, take)

    async def come(self, count: int) -> list[asyncio.Task[bool]]:
        asking = [asyncio.create_task(self.ask(number)) for number in range(count)]
        await asyncio.sleep(0)
        return asking


async def ended(asking: list[asyncio.Task[bool]]) -> list[bool]:
    return await asyncio.wait_for(asyncio.gather(*asking), PATIENCE_S)


async def test_who_waits_is_let_in_in_order_and_the_rest_is_sent_away_when_the_round_has_ended():
    worker = Worker()
    asking = await worker.come(5)
    assert worker.table.cells.own(WANTED) == 5
    assert worker.table.poked == 5
    worker.table.round(granted=3)

    assert await ended(asking) == [True, True, True, False, False]
    assert worker.let_in == [0, 1, 2]
    assert worker.table.cells.own(WANTED) == 0


async def test_a_round_that_was_under_way_already_sends_nobody_away():
    worker = Worker()
    worker.table.cells.write_lease(ROUND, 1)
    asking = await worker.come(1)
    worker.table.cells.write_lease(ROUND, 2)
    await asyncio.sleep(0.05)
    assert not asking[0].done()
    worker.table.round(granted=1)

    assert await ended(asking) == [True]


async def test_a_slot_that_a_request_of_this_host_gave_back_lets_the_next_in_without_a_round():
    worker = Worker()
    worker.table.cells.write_lease(GRANTED, 1)
    assert worker.slots.take(LIMIT, 1)
    asking = await worker.come(1)
    worker.slots.give_back(1)

    assert await ended(asking) == [True]


async def test_without_an_answer_nobody_waits_long():
    worker = Worker()
    began = time.monotonic()

    assert await ended(await worker.come(3)) == [False] * 3
    assert time.monotonic() - began >= LONGEST_S


async def test_where_there_is_nothing_to_be_had_nobody_waits_or_asks():
    worker = Worker()
    worker.table.cells.write_lease(RETRY_NS, time.monotonic_ns() + 3_600_000_000_000)

    assert not await worker.ask(1)
    assert not await worker.leases.more(Sheet.private(), 1, lambda: True)
    assert worker.table.poked == 0


async def test_who_leaves_takes_nothing():
    worker = Worker()
    asking = await worker.come(2)
    asking[0].cancel()
    await asyncio.sleep(0)
    worker.table.round(granted=2)

    assert await ended(asking[1:]) == [True]
    assert worker.let_in == [1]
    assert worker.table.cells.own(HELD) == 1
