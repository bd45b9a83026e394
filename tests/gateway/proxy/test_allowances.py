"""What applications take of a fleet's limits: of the host's lease, which the test grants, and never more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ApiError, DailyCostError, RateLimitedError
from gateway.proxy.allowances import Allowances, leased_name
from gateway.proxy.board import Board
from gateway.proxy.entry import Entry
from gateway.proxy.leased import GRANTED, OF_DAY, RETRY_NS, ROUND, LeasedSheet
from gateway.proxy.purse import Aside, nano
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Caller
from gateway.settings.schema import Application
from rollout.lease import Kind
from tests.fakes.proxy import Counts, Journal, Moments

pytestmark = pytest.mark.anyio
DAY = 20_000
NOON_S = DAY * 86_400 + 43_200.0


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with closing(Board(tmp_path / "limits")) as made:
        yield made


@pytest.fixture
def allowances(board: Board) -> Allowances:
    return Throttle(board, 2, today=lambda: NOON_S, gateways=2).allowances


def lease(board: Board, kind: Kind, name: str, granted: int, day: int = 0) -> LeasedSheet:
    """Grant something, and end whatever somebody waits for by rounds that bring no more."""
    sheet = board.leased(leased_name(kind, name))
    assert sheet is not None
    sheet.write_lease(OF_DAY, day)
    sheet.write_lease(GRANTED, granted)
    return sheet


def caller(**limits: Any) -> Caller:
    return Caller(name="shop", application=Application(**limits), is_limited=True)


def entry() -> Entry:
    return Entry(Journal(moments=Moments()), Counts(), "chat.completions")


async def counted(allowances: Allowances, who: Caller, times: int) -> list[Entry]:
    """Count requests that all pass."""
    passed = [entry() for _ in range(times)]
    for one in passed:
        await allowances.count(who, one)
    return passed


async def refused(asking: Callable[[], Any], sheet: LeasedSheet) -> ApiError:
    task = asyncio.create_task(asking())
    await asyncio.sleep(0.01)
    sheet.write_lease(ROUND, sheet.lease(ROUND) + 2)
    with pytest.raises(ApiError) as raised:
        await asyncio.wait_for(task, 10)
    return raised.value


async def test_requests_at_once_are_those_of_the_lease(board: Board, allowances: Allowances):
    sheet, who = lease(board, "slots", "application:shop", 2), caller(max_concurrent=9)
    passed = await counted(allowances, who, 2)
    assert allowances.taken == 2

    error = await refused(lambda: allowances.count(who, entry()), sheet)
    assert isinstance(error, RateLimitedError)
    assert error.error_class == "application_concurrency"
    for one in passed:
        for held in one.held:
            held.give_back(0)
    assert allowances.taken == 0


async def test_requests_and_feedback_spend_tokens_of_two_leases(board: Board, allowances: Allowances):
    who = caller(requests_per_minute=60)
    sheet, other = lease(board, "rate", "application:shop", 1), lease(board, "rate", "feedback:shop", 1)
    await counted(allowances, who, 1)
    await allowances.count_feedback(who)

    assert (await refused(lambda: allowances.count(who, entry()), sheet)).error_class == "rate_limit_exceeded"
    assert (await refused(lambda: allowances.count_feedback(who), other)).headers == ((b"retry-after", b"1"),)


async def test_evaluations_of_flags_spend_tokens_of_their_own(board: Board, allowances: Allowances):
    who, sheet = caller(requests_per_minute=60), lease(board, "rate", "evaluation:shop", 1)
    lease(board, "rate", "feedback:shop", 1)
    await allowances.count_evaluation(who)

    error = await refused(lambda: allowances.count_evaluation(who), sheet)
    assert "may evaluate flags 60 times per minute" in error.message
    await allowances.count_feedback(who)


async def test_who_waits_for_a_token_gets_it_when_it_is_granted(board: Board, allowances: Allowances):
    who, sheet = caller(requests_per_minute=60), lease(board, "rate", "application:shop", 0)
    asking = asyncio.create_task(allowances.count(who, entry()))
    await asyncio.sleep(0.01)
    sheet.write_lease(GRANTED, 1)

    await asyncio.wait_for(asking, 10)


async def test_a_days_cost_is_of_the_day_that_the_lease_is_of(board: Board, allowances: Allowances):
    who = caller(daily_cost_usd=1.0, unknown_cost_usd=0.4)
    sheet = lease(board, "cost", "cost:shop", nano(0.8), DAY + 1)
    passed = await counted(allowances, who, 2)
    assert [type(held) for one in passed for held in one.held] == [Aside, Aside]

    error = await refused(lambda: allowances.count(who, entry()), sheet)
    assert isinstance(error, DailyCostError)
    assert error.headers == ((b"retry-after", b"1"),)
    for one in passed:
        one.close("rejected", status=400)
        one.held[0].give_back(0)
    await counted(allowances, who, 1)


async def test_what_is_spent_is_refused_until_midnight(board: Board, allowances: Allowances):
    who = caller(daily_cost_usd=1.0, unknown_cost_usd=0.4)
    sheet = lease(board, "cost", "cost:shop", nano(0.1), DAY)
    error = await refused(lambda: allowances.count(who, entry()), sheet)
    assert error.headers == ((b"retry-after", b"1"),)

    sheet.write_lease(RETRY_NS, time.monotonic_ns() + 43_200_000_000_000)
    error = await refused(lambda: allowances.count(who, entry()), sheet)
    assert error.headers == ((b"retry-after", b"43200"), (b"x-should-retry", b"false"))
    await allowances.count(who, entry(), pays=False)


async def test_without_a_board_a_worker_keeps_its_part_of_a_fleets_limit(caplog: pytest.LogCaptureFixture):
    allowances, who = Throttle(None, 2, gateways=3).allowances, caller(max_concurrent=12)
    for _ in range(2):
        await allowances.count(who, entry())

    with pytest.raises(RateLimitedError):
        await allowances.count(who, entry())
    assert [line.getMessage() for line in caplog.records] == ["a limit is not leased: this worker keeps its part of it"]
