"""What every upstream client promises when callers leave: the upstream is told at once, and the client stays whole."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.proxy.upstream import Upstream
from tests.fakes.peer import Peer, head
from tests.fakes.upstream import CHUNKED, FakeUpstream, Script, call_to, chunk, hanging_listener, serving, until, whole

pytestmark = pytest.mark.anyio

STORM = 300
PROMPT_S = 5.0
"""Room for a busy machine: the promise is 0.1 s at the 99th percentile; what nobody closes stays for ten seconds."""
Record = Callable[[str, object], None]


def descriptors() -> int:
    gc.collect()
    return sum(1 for _ in Path("/dev/fd").iterdir())


async def silent(peer: Peer) -> None:
    await peer.read()
    await peer.gone()


async def streaming(peer: Peer) -> None:
    await peer.read()
    await peer.send(head(CHUNKED))
    while True:
        await peer.send(chunk(b"data: x\n\n"), pause_s=0.05)


def storm_then(script: Script) -> list[Script]:
    """Follow the script on the storm's connections; echo on all later ones."""

    async def echo(peer: Peer) -> None:
        while True:
            await peer.answer((await peer.read()).body)

    return [*[script] * STORM, echo]


async def no_more_descriptors_than(count: int) -> bool:
    """Tell whether it comes to that: the other side of a connection, in another thread, closes a little later."""
    await until(lambda: abs(descriptors() - count) <= 5)
    return True


async def ended(tasks: list[asyncio.Task[bytes]]) -> float:
    """Cancel all tasks and return the moment, `time.monotonic()`, when it was asked."""
    asked_at = time.monotonic()
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    return asked_at


async def all_succeed(upstream: Upstream, fake: FakeUpstream) -> int:
    bodies = [b"%d" % number for number in range(100)]
    answers = await asyncio.gather(*(send_and_read(upstream, fake.url, body) for body in bodies))
    return sum(answer == body for answer, body in zip(answers, bodies, strict=True))


async def send_and_read(upstream: Upstream, url: str, body: bytes = b"{}") -> bytes:
    return await whole(await upstream.send(call_to(url, body)))


def assert_prompt(fake: FakeUpstream, asked_at: float, record: Record, when: str) -> None:
    """Keep the figures for the report that `--junitxml` writes, and judge the slowest."""
    delays_s = sorted((peer.closed_at or float("inf")) - asked_at for peer in fake.peers[:STORM])
    record(f"closed {when}, p50 ms", round(delays_s[len(delays_s) // 2] * 1000, 1))
    record(f"closed {when}, p99 ms", round(delays_s[len(delays_s) * 99 // 100] * 1000, 1))
    assert delays_s[-1] <= PROMPT_S


@pytest.mark.parametrize("script", [silent, streaming])
async def test_a_storm_of_cancellations_closes_every_upstream_and_leaves_the_client_whole(
    upstream: Upstream, record_testsuite_property: Record, script: Script
):
    with serving(*storm_then(script)) as fake:
        await asyncio.sleep(0.05)
        before, tasks_before = descriptors(), asyncio.all_tasks()
        tasks = [asyncio.create_task(send_and_read(upstream, fake.url)) for _ in range(STORM)]
        await until(lambda: len(fake.requests) == STORM)
        await asyncio.sleep(0.2)
        asked_at = await ended(tasks)

        assert await fake.all_closed(within_s=PROMPT_S)
        assert_prompt(fake, asked_at, record_testsuite_property, script.__name__)
        assert not asyncio.all_tasks() - tasks_before
        assert await all_succeed(upstream, fake) == 100
        await upstream.close()
        assert await fake.all_closed(within_s=PROMPT_S)
        assert await no_more_descriptors_than(before)


async def test_a_storm_over_tls_handshakes_ends_every_one_of_them(
    upstream: Upstream, record_testsuite_property: Record
):
    with serving(*storm_then(Peer.gone)) as fake:
        await asyncio.sleep(0.05)
        before = descriptors()
        secure = fake.url.replace("http:", "https:")
        tasks = [asyncio.create_task(send_and_read(upstream, secure)) for _ in range(STORM)]
        await until(lambda: len(fake.peers) == STORM)
        asked_at = await ended(tasks)

        assert await fake.all_closed(within_s=PROMPT_S)
        assert_prompt(fake, asked_at, record_testsuite_property, "in the handshake")
        assert await all_succeed(upstream, fake) == 100
        await upstream.close()
        assert await fake.all_closed(within_s=PROMPT_S)
        assert await no_more_descriptors_than(before)


async def test_a_storm_while_connecting_leaves_no_socket(upstream: Upstream):
    with hanging_listener() as port, serving() as fake:
        await asyncio.sleep(0.05)
        before, tasks_before = descriptors(), asyncio.all_tasks()
        tasks = [asyncio.create_task(send_and_read(upstream, f"http://127.0.0.1:{port}")) for _ in range(STORM)]
        await until(lambda: descriptors() - before >= STORM)
        await ended(tasks)

        assert await no_more_descriptors_than(before)
        assert not asyncio.all_tasks() - tasks_before
        assert await all_succeed(upstream, fake) == 100


async def test_a_storm_in_mid_body_drops_what_was_not_taken(upstream: Upstream):
    async def script(peer: Peer) -> None:
        peer.stop_reading()
        await gate.opened()
        peer.start_reading()

    with serving(script, receive_buffer_bytes=64 * 1024) as fake:
        gate = fake.gate()
        await asyncio.sleep(0.05)
        before = descriptors()
        body = b"x" * 16_000_000
        tasks = [asyncio.create_task(send_and_read(upstream, fake.url, body)) for _ in range(20)]
        await until(lambda: len(fake.peers) == 20)
        await asyncio.sleep(0.2)
        await ended(tasks)
        await until(lambda: descriptors() - before <= 20 + 5)
        gate.open()

        assert await fake.all_closed(within_s=PROMPT_S)
        assert max(peer.received_bytes for peer in fake.peers) < len(body)


async def test_cancelling_one_read_closes_its_upstream_and_no_other(upstream: Upstream):
    with serving(streaming) as fake:
        answers = [await upstream.send(call_to(fake.url)) for _ in range(3)]
        reading = asyncio.create_task(whole(answers[0]))
        await asyncio.sleep(0.1)
        await ended([reading])
        await until(lambda: len(fake.open_peers()) < 3)
        await asyncio.sleep(0.2)

        assert [peer.closed_at is not None for peer in fake.peers].count(True) == 1
        assert await answers[1].chunk()
        assert await answers[2].chunk()
        for answer in answers:
            answer.close()
        assert await fake.all_closed(within_s=PROMPT_S)
