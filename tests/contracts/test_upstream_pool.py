"""What every upstream client promises of kept connections: none is used that has ended, and none is kept for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.proxy.upstream import BrokenFault, Fault, Upstream
from tests.fakes.clients import Make
from tests.fakes.peer import Peer, head
from tests.fakes.upstream import CHUNKED, Script, call_to, chunk, serving, until, whole

pytestmark = pytest.mark.anyio

LATE_S = 4.0


async def half_closes(peer: Peer) -> None:
    peer.half_close()


async def closes(peer: Peer) -> None:
    peer.close()


async def resets(peer: Peer) -> None:
    peer.reset()


def answering_then(end: Callable[[Peer], Awaitable[None]], ended: list[Peer]) -> Script:
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.answer(b"ok")
        await asyncio.sleep(0.05)
        await end(peer)
        ended.append(peer)
        await peer.read()

    return script


@pytest.mark.parametrize("end", [closes, half_closes, resets])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_connection_that_ended_while_it_was_kept_is_never_used(
    upstream: Upstream, end: Callable[[Peer], Awaitable[None]], method: str
):
    ended: list[Peer] = []

    with serving(answering_then(end, ended)) as fake:
        for number in range(3):
            assert await whole(await upstream.send(call_to(fake.url, method=method))) == b"ok"
            await until(lambda count=number + 1: len(ended) == count)
            await asyncio.sleep(0.1)

        assert [len(peer.requests) for peer in fake.peers] == [1, 1, 1]


async def closed_after_s(make: Make, pooled_idle_s: float) -> float:
    """Return for how long a client keeps a connection that nobody uses."""
    upstream = make(pooled_idle_s=pooled_idle_s)
    with serving() as fake:
        await whole(await upstream.send(call_to(fake.url)))
        idle_at = time.monotonic()
        assert await fake.all_closed(within_s=2 * pooled_idle_s + LATE_S)
        closed_at = fake.peers[0].closed_at
    await upstream.close()
    assert closed_at is not None
    return closed_at - idle_at


async def test_a_connection_that_nobody_uses_is_closed(make: Make):
    assert 0.5 <= await closed_after_s(make, 1.0) <= 2 * 1.0 + LATE_S


@pytest.mark.slow
async def test_a_connection_that_nobody_uses_is_closed_after_fifteen_seconds(make: Make):
    assert 13.0 <= await closed_after_s(make, 15.0) <= 2 * 15.0 + LATE_S


async def test_a_connection_that_was_kept_for_too_long_is_not_used(make: Make):
    upstream = make(pooled_idle_s=0.5)
    with serving() as fake:
        await whole(await upstream.send(call_to(fake.url)))
        time.sleep(0.8)  # noqa: ASYNC251 - the loop stands still, so that no timer of the client's has run
        await whole(await upstream.send(call_to(fake.url)))
        await upstream.close()

    assert [len(peer.requests) for peer in fake.peers] == [1, 1]


async def test_a_connection_is_used_again_only_after_the_answers_last_byte(upstream: Upstream):
    async def script(peer: Peer) -> None:
        while True:
            await peer.read()
            await peer.send(head(CHUNKED), chunk(b"abc"))
            await gate.opened()
            await peer.send(chunk(b""))

    with serving(script) as fake:
        gate = fake.gate()
        first = await upstream.send(call_to(fake.url))
        assert await first.chunk() == b"abc"
        second = await upstream.send(call_to(fake.url))
        gate.open()
        rest = [await whole(first), await whole(second)]
        third = await whole(await upstream.send(call_to(fake.url)))

    assert (rest, third) == ([b"", b"abc"], b"abc")
    assert len(fake.peers) == 2


async def test_an_answer_that_says_close_is_the_last_of_its_connection(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.answer(b"ok", b"connection: close")

    with serving(script) as fake:
        for _ in range(3):
            assert await whole(await upstream.send(call_to(fake.url))) == b"ok"

        assert await fake.all_closed(within_s=LATE_S)
    assert [len(peer.requests) for peer in fake.peers] == [1, 1, 1]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_kept_connection_that_ends_under_the_request_is_a_break_and_not_a_second_try(
    upstream: Upstream, method: str
):
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.answer(b"ok")
        await peer.read()
        peer.close()

    ends: list[bytes | Fault] = []
    with serving(script) as fake:
        for _ in range(2):
            try:
                ends.append(await whole(await upstream.send(call_to(fake.url, method=method))))
            except Fault as fault:
                ends.append(fault)

    assert ends[0] == b"ok"
    assert isinstance(ends[1], BrokenFault)
    assert len(fake.requests) == 2
