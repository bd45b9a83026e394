"""What every upstream client promises of time: whatever an upstream does, its request ends within a limit, wholly."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from gateway.proxy.upstream import Answer, BrokenFault, StalledFault, Upstream
from tests.fakes.peer import Gate, Peer, head
from tests.fakes.upstream import CHUNKED, Script, call_to, chunk, serving, whole

pytestmark = pytest.mark.anyio

LIMIT_S = 0.4
LATE_S = 4.0
"""Room for a busy machine: the promise is the limit and half a second, and a stall without a limit never ends."""
BODY_BYTES = 16 * 1024 * 1024
"""More than the kernel takes on both sides of a connection together."""


async def silent(peer: Peer) -> None:
    await peer.read()


async def silent_after_the_head(peer: Peer) -> None:
    await peer.read()
    await peer.send(head(CHUNKED))


async def silent_in_mid_chunk(peer: Peer) -> None:
    await peer.read()
    await peer.send(head(CHUNKED), b"10\r\nabc")


async def dripping(peer: Peer) -> None:
    await peer.read()
    await peer.send(head(CHUNKED))
    while True:
        await peer.send(chunk(b"."), pause_s=0.05)


async def dripping_the_head(peer: Peer) -> None:
    await peer.read()
    await peer.send(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        await peer.send(b"x-%d: y\r\n" % number, pause_s=0.05)


async def announcing_for_ever(peer: Peer) -> None:
    await peer.read()
    while True:
        await peer.send(head(status=b"102 Processing"), pause_s=0.02)


async def flooding(peer: Peer) -> None:
    await peer.read()
    await peer.send(head(CHUNKED))
    piece = chunk(b"x" * 16_384) * 4
    while True:
        await peer.send(piece)


async def extending_a_chunk_for_ever(peer: Peer) -> None:
    await peer.read()
    await peer.send(head(CHUNKED), b"3;")
    while True:
        await peer.send(b"y" * 4096, pause_s=0.001)


async def never_reading(peer: Peer) -> None:
    peer.stop_reading()
    await peer.gone()


STREAM: dict[str, Any] = {}
WHOLE: dict[str, Any] = {"answer_s": 10.0}

STALLS: list[tuple[Script, dict[str, Any], str]] = [
    (silent, STREAM, "first_byte"),
    (silent, STREAM, "total"),
    (silent, WHOLE, "answer"),
    (silent, WHOLE, "total"),
    (silent_after_the_head, STREAM, "first_byte"),
    (silent_after_the_head, STREAM, "total"),
    (silent_after_the_head, WHOLE, "idle"),
    (silent_after_the_head, WHOLE, "answer"),
    (silent_in_mid_chunk, STREAM, "idle"),
    (silent_in_mid_chunk, STREAM, "total"),
    (silent_in_mid_chunk, WHOLE, "idle"),
    (silent_in_mid_chunk, WHOLE, "answer"),
    (dripping, STREAM, "total"),
    (dripping, WHOLE, "answer"),
    (dripping, WHOLE, "total"),
    (dripping_the_head, STREAM, "first_byte"),
    (dripping_the_head, WHOLE, "answer"),
    (announcing_for_ever, STREAM, "first_byte"),
    (announcing_for_ever, WHOLE, "total"),
    (flooding, STREAM, "total"),
    (flooding, WHOLE, "answer"),
]


async def read_on(answer: Answer) -> None:
    """Read to the end and keep nothing."""
    try:
        while await answer.chunk():
            pass
    finally:
        answer.close()


async def stalled(upstream: Upstream, url: str, limits: dict[str, Any], body: bytes = b"{}") -> tuple[str, float]:
    """Send, read to the end and return which limit ended it, and after how many seconds."""
    started = asyncio.get_running_loop().time()
    with pytest.raises(StalledFault) as caught:
        await asyncio.wait_for(read_on(await upstream.send(call_to(url, body, **limits))), 10.0)
    return caught.value.limit, asyncio.get_running_loop().time() - started


def stall_names() -> list[str]:
    return [f"{script.__name__}-{'whole' if kind else 'stream'}-{limit}" for script, kind, limit in STALLS]


@pytest.mark.parametrize(("script", "kind", "limit"), STALLS, ids=stall_names())
async def test_a_stall_ends_at_its_limit_with_the_connection_closed_and_no_task_left(
    upstream: Upstream, script: Script, kind: dict[str, Any], limit: str
):
    before = asyncio.all_tasks()

    with serving(script) as fake:
        passed, took_s = await stalled(upstream, fake.url, kind | {f"{limit}_s": LIMIT_S})

        assert await fake.all_closed(within_s=LATE_S)
    assert passed == limit
    assert LIMIT_S * 0.9 <= took_s <= LIMIT_S + LATE_S
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("kind", "limit"),
    [(STREAM, "first_byte"), (STREAM, "total"), (WHOLE, "answer")],
    ids=["first_byte", "total", "answer"],
)
async def test_an_upstream_that_never_reads_ends_at_the_limit_and_what_it_did_not_take_is_dropped(
    upstream: Upstream, kind: dict[str, Any], limit: str
):
    before = asyncio.all_tasks()
    gates: list[Gate] = []

    async def reading_later(peer: Peer) -> None:
        peer.stop_reading()
        await gates[0].opened()
        peer.start_reading()

    with serving(reading_later, receive_buffer_bytes=64 * 1024) as fake:
        gates.append(fake.gate())
        passed, took_s = await stalled(upstream, fake.url, kind | {f"{limit}_s": LIMIT_S}, b"x" * BODY_BYTES)
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - before
        gates[0].open()

        assert await fake.all_closed(within_s=LATE_S)
        assert fake.peers[0].received_bytes < BODY_BYTES
    assert passed == limit
    assert LIMIT_S * 0.9 <= took_s <= LIMIT_S + LATE_S
    assert not left


@pytest.mark.parametrize(("kind", "limit"), [(STREAM, "first_byte"), (WHOLE, "idle"), (WHOLE, "answer")])
async def test_a_chunks_extension_without_end_is_broken_or_ends_at_the_limit(
    upstream: Upstream, kind: dict[str, Any], limit: str
):
    with serving(extending_a_chunk_for_ever) as fake:
        call = call_to(fake.url, b"{}", **kind | {f"{limit}_s": LIMIT_S})

        async def ask() -> None:
            await read_on(await upstream.send(call))

        with pytest.raises((BrokenFault, StalledFault)):
            await asyncio.wait_for(ask(), LIMIT_S + LATE_S)

        assert await fake.all_closed(within_s=LATE_S)


@pytest.mark.slow
async def test_a_limit_over_five_seconds_is_kept_to_the_same_half_second(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.gone()

    with serving(script) as fake:
        started = asyncio.get_running_loop().time()
        with pytest.raises(StalledFault) as caught:
            await upstream.send(call_to(fake.url.replace("http:", "https:"), connect_s=5.05))
        took_s = asyncio.get_running_loop().time() - started

    assert caught.value.limit == "connect"
    assert took_s <= 5.05 + 0.5


async def test_the_narrowest_limit_is_the_one_that_is_named(upstream: Upstream):
    limits = {"connect_s": 7.0, "first_byte_s": 4.0, "idle_s": 5.0, "total_s": 8.0}

    with serving(silent) as fake:
        assert (await stalled(upstream, fake.url, limits | {"first_byte_s": LIMIT_S}))[0] == "first_byte"
    with serving(silent_in_mid_chunk) as fake:
        assert (await stalled(upstream, fake.url, limits | {"idle_s": LIMIT_S}))[0] == "idle"


async def test_a_slow_reader_is_not_blamed_on_the_upstream(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.send(head(CHUNKED), chunk(b"abc"), chunk(b""))

    with serving(script) as fake:
        answer = await upstream.send(call_to(fake.url, first_byte_s=1.5, idle_s=1.5))
        await asyncio.sleep(1.7)

        assert await whole(answer) == b"abc"


async def test_bytes_that_wait_for_longer_than_the_whole_answer_may_take_are_not_handed_on(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.send(head(CHUNKED), chunk(b"abc"))

    with serving(script) as fake:
        answer = await upstream.send(call_to(fake.url, total_s=1.5))
        await asyncio.sleep(1.7)
        with pytest.raises(StalledFault) as caught:
            await answer.chunk()
        answer.close()

    assert caught.value.limit == "total"
