from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.proxy.answer import RunningAnswer
from gateway.proxy.upstream import BrokenFault, Clock, StalledFault
from tests.fakes.upstream import call_to

pytestmark = pytest.mark.anyio


class Carrier:
    """Counts what its answer asks of it."""

    def __init__(self) -> None:
        self.read_again = 0
        self.aborted = 0

    def go_on(self) -> None:
        self.read_again += 1

    def abort(self) -> None:
        self.aborted += 1


def answer_to(**limits: Any) -> tuple[Carrier, RunningAnswer]:
    carrier = Carrier()
    return carrier, RunningAnswer(carrier, Clock(call_to("http://x", **limits)))


async def test_what_came_is_read_before_what_ended_it():
    _, answer = answer_to()
    answer.begin(200, [])
    answer.add(b"one")
    answer.add(b"two")
    answer.fail(BrokenFault("connection_lost"))
    answer.fail(BrokenFault("broken_http"))

    assert await answer.chunk() == b"onetwo"
    for _ in range(2):
        with pytest.raises(BrokenFault, match="connection_lost"):
            await answer.chunk()


async def test_an_answer_that_has_ended_cannot_fail():
    carrier, answer = answer_to()
    answer.begin(200, [])
    answer.end()
    answer.fail(BrokenFault("connection_lost"))

    assert [await answer.chunk(), await answer.chunk()] == [b"", b""]
    answer.close()
    assert not carrier.aborted


async def test_a_reader_who_waits_is_woken_by_what_comes():
    _, answer = answer_to()
    answer.begin(200, [])
    reading = asyncio.create_task(answer.chunk())
    await asyncio.sleep(0)

    answer.add(b"news")
    answer.wake()

    assert await asyncio.wait_for(reading, 5) == b"news"


@pytest.mark.parametrize(
    ("limits", "begun", "limit"),
    [
        ({"first_byte_s": 0.2}, False, "first_byte"),
        ({"answer_s": 0.2, "first_byte_s": 9.0}, False, "answer"),
        ({"first_byte_s": 0.2}, True, "first_byte"),
        ({"total_s": 0.2}, True, "total"),
    ],
)
async def test_a_limit_that_passes_is_the_fault(limits: dict[str, float], begun: bool, limit: str):  # noqa: FBT001 - of the table
    carrier, answer = answer_to(**limits)
    if begun:
        answer.begin(200, [])

    with pytest.raises(StalledFault) as caught:
        await (answer.chunk() if begun else answer.head())
    answer.close()

    assert caught.value.limit == limit
    assert carrier.aborted == 1


async def test_the_time_for_silence_begins_with_each_chunk():
    _, answer = answer_to(idle_s=0.6, first_byte_s=9.0)
    answer.begin(200, [])
    began = asyncio.get_running_loop().time()
    for number in range(4):
        asyncio.get_running_loop().call_later(0.25, lambda: (answer.add(b"."), answer.wake()))
        assert await answer.chunk() == b".", number

    with pytest.raises(StalledFault) as caught:
        await answer.chunk()

    assert caught.value.limit == "idle"
    assert asyncio.get_running_loop().time() - began >= 1.5


async def test_a_reader_who_is_slow_lets_the_connection_rest_and_read_again():
    carrier, answer = answer_to()
    answer.begin(200, [])

    assert [answer.add(b"x" * 200_000), answer.add(b"x" * 200_000)] == [True, False]
    assert len(await answer.chunk()) == 400_000
    assert carrier.read_again == 1
    assert answer.add(b"x")
    assert len(await answer.chunk()) == 1
    assert carrier.read_again == 1
