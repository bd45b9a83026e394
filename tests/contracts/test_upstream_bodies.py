"""What every upstream client promises of a body that comes while it is sent: as fast as it is taken, whole or not."""

from __future__ import annotations

import asyncio
import os

import pytest

from gateway.proxy.sending import WrongLengthError
from gateway.proxy.upstream import BrokenFault, Fault, StalledFault, Upstream
from tests.fakes.peer import Peer, head
from tests.fakes.source import Given, of
from tests.fakes.upstream import CHUNKED, call_to, chunk, echoing, serving, until, whole

pytestmark = pytest.mark.anyio

LATE_S = 4.0
MIB = 1024 * 1024
ENDLESS_BYTES = 64 * MIB
BUFFERED_BYTES = 16 * MIB
"""More than the kernel and the transport hold of what an upstream does not take, by far less than what is sent."""


class GivenUpError(Exception):
    """What a source raises in these tests."""


@pytest.mark.parametrize("size_bytes", [0, 1, 1024, 300 * 1024, 4 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_streamed_body_arrives_byte_for_byte_in_its_framing(
    upstream: Upstream, size_bytes: int, *, chunked: bool
):
    body = os.urandom(size_bytes)

    with serving(echoing) as fake:
        echoed = await whole(await upstream.send(call_to(fake.url, of(body, chunked=chunked))))

    headers = dict(fake.requests[0].headers)
    assert echoed == fake.requests[0].body == body
    assert headers.get("transfer-encoding") == ("chunked" if chunked else None)
    assert headers.get("content-length") == (None if chunked else str(size_bytes))


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_connection_is_used_again_after_a_streamed_body(upstream: Upstream, *, chunked: bool):
    with serving(echoing) as fake:
        for number in range(5):
            body = b"%d" % number * 100_000
            assert await whole(await upstream.send(call_to(fake.url, of(body, chunked=chunked)))) == body

        assert len(fake.peers) == 1


async def test_pieces_leave_before_the_next_one_exists(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.read_head()
        for gate, piece in zip(gates, pieces, strict=True):
            assert await peer.exactly(len(piece)) == piece
            gate.open()
        await peer.answer(b"ok")

    class Waiting(Given):
        async def piece(self) -> bytes:
            if 0 < self.given_bytes < 50:
                await asyncio.wait_for(asyncio.wrap_future(seen[self.given_bytes // 10 - 1]), LATE_S)
            return await super().piece()

    pieces = [b"%d" % number * 10 for number in range(5)]
    with serving(script) as fake:
        gates = [fake.gate() for _ in pieces]
        seen = [asyncio.run_coroutine_threadsafe(gate.opened(), fake.loop) for gate in gates]
        assert await whole(await upstream.send(call_to(fake.url, Waiting(pieces, 50)))) == b"ok"


@pytest.mark.parametrize("chunked", [False, True])
async def test_what_an_upstream_does_not_take_is_not_asked_for(upstream: Upstream, *, chunked: bool):
    async def script(peer: Peer) -> None:
        await peer.read_head()
        peer.stop_reading()
        stopped.append(peer)
        await gate.opened()
        peer.start_reading()
        await peer.gone()

    stopped: list[Peer] = []
    piece = b"x" * 64 * 1024
    source = Given((piece for _ in range(ENDLESS_BYTES // len(piece))), None if chunked else ENDLESS_BYTES)
    with serving(script, receive_buffer_bytes=64 * 1024) as fake:
        gate = fake.gate()
        sending = asyncio.create_task(upstream.send(call_to(fake.url, source)))
        await until(lambda: bool(stopped))
        await asyncio.sleep(0.5)
        given_bytes = source.given_bytes
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        gate.open()

        assert 0 < given_bytes < BUFFERED_BYTES
        assert await fake.all_closed(within_s=LATE_S)


@pytest.mark.parametrize("status", [b"413 Content Too Large", b"200 OK"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_that_comes_before_the_body_is_whole_is_handed_on(
    upstream: Upstream, status: bytes, *, chunked: bool
):
    async def script(peer: Peer) -> None:
        await peer.read_head()
        await peer.until(b"x" * 1000)
        await peer.answer(b"early", status=status)
        await peer.gone()

    source = Given([b"x" * 1000], None if chunked else 1_000_000, hangs=True)
    with serving(script, echoing) as fake:
        answer = await asyncio.wait_for(upstream.send(call_to(fake.url, source)), LATE_S)
        body = await asyncio.wait_for(whole(answer), LATE_S)

        assert (answer.status, body) == (int(status[:3]), b"early")
        assert await fake.all_closed(within_s=LATE_S)
        assert await whole(await upstream.send(call_to(fake.url, of(b"next")))) == b"next"
    await until(lambda: source.was_cancelled)


async def test_an_upstream_that_answers_while_it_reads_gets_the_whole_body(upstream: Upstream):
    async def script(peer: Peer) -> None:
        request = await peer.read_head()
        await peer.send(head(CHUNKED), chunk(b"reading"))
        body = (await peer.read_rest(request.head)).body
        await peer.send(chunk(b"%d" % len(body)), chunk(b""))

    with serving(script) as fake:
        answer = await upstream.send(call_to(fake.url, of(b"x" * 3_000_000)))
        received = await asyncio.wait_for(whole(answer), LATE_S)

    assert received == b"reading3000000"


async def test_an_upstream_that_refuses_and_closes_in_the_middle_is_heard_or_broken_but_never_hangs(
    upstream: Upstream,
):
    async def script(peer: Peer) -> None:
        await peer.read_head()
        await peer.answer(b"too large", b"connection: close", status=b"413 Content Too Large")
        peer.close()

    with serving(script) as fake:
        sending = upstream.send(call_to(fake.url, of(b"x" * 8_000_000)))
        end: int | str
        try:
            answer = await asyncio.wait_for(sending, LATE_S)
            answer.close()
            end = answer.status
        except BrokenFault as fault:
            end = fault.kind

        assert end in {413, "connection_lost"}
        assert len(fake.peers) == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_what_the_source_raises_reaches_the_sender_and_no_upstream_takes_the_body_for_whole(
    upstream: Upstream, *, chunked: bool
):
    source = Given([b"x" * 100_000] * 3, None if chunked else 1_000_000, error=GivenUpError())

    with serving(echoing) as fake:
        with pytest.raises(GivenUpError):
            await asyncio.wait_for(upstream.send(call_to(fake.url, source)), LATE_S)

        assert await fake.all_closed(within_s=LATE_S)
        assert fake.requests == []


@pytest.mark.parametrize("declared_bytes", [99, 101])
async def test_a_body_of_another_length_than_declared_is_no_request(upstream: Upstream, declared_bytes: int):
    with serving(echoing) as fake:
        with pytest.raises((WrongLengthError, Fault)):
            await asyncio.wait_for(upstream.send(call_to(fake.url, Given([b"x" * 100], declared_bytes))), LATE_S)

        assert await fake.all_closed(within_s=LATE_S)
    assert all(request.body != b"x" * 100 for request in fake.requests)


async def test_a_sender_that_leaves_in_the_middle_of_a_body_closes_the_upstream_at_once(upstream: Upstream):
    source = Given([b"x" * 100_000], 1_000_000, hangs=True)

    with serving(echoing) as fake:
        sending = asyncio.create_task(upstream.send(call_to(fake.url, source)))
        await until(lambda: bool(fake.peers) and fake.peers[0].received_bytes > 100_000)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

        assert await fake.all_closed(within_s=LATE_S)
    assert source.was_cancelled


async def test_an_upstream_that_takes_nothing_more_stalls_after_the_idle_limit(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.read_head()
        peer.stop_reading()
        await gate.opened()
        peer.start_reading()

    with serving(script, receive_buffer_bytes=64 * 1024) as fake:
        gate = fake.gate()
        with pytest.raises(StalledFault) as stalled:
            await upstream.send(call_to(fake.url, of(b"x" * 32_000_000), idle_s=0.5, total_s=20.0))
        gate.open()

        assert stalled.value.limit == "idle"
        assert await fake.all_closed(within_s=LATE_S)


async def test_the_total_limit_ends_a_body_that_does_not_come(upstream: Upstream):
    source = Given([b"x" * 100], 1_000, hangs=True)

    with serving(echoing) as fake:
        with pytest.raises(StalledFault) as stalled:
            await upstream.send(call_to(fake.url, source, idle_s=0.2, first_byte_s=0.2, total_s=0.6))

        assert await fake.all_closed(within_s=LATE_S)
    assert stalled.value.limit == "total"


@pytest.mark.parametrize(("answer_s", "limit"), [(None, "first_byte"), (0.5, "answer")])
async def test_the_wait_for_the_answer_begins_when_the_body_was_sent(
    upstream: Upstream, answer_s: float | None, limit: str
):
    async def silent(peer: Peer) -> None:
        await peer.read()
        await peer.gone()

    slow = Given([b"x" * 10] * 12, 120, pause_s=0.1)
    with serving(silent) as fake:
        with pytest.raises(StalledFault) as stalled:
            await upstream.send(call_to(fake.url, slow, first_byte_s=0.5, answer_s=answer_s))

        assert fake.requests[0].body == b"x" * 120
    assert stalled.value.limit == limit


async def test_a_streamed_body_is_never_sent_twice(upstream: Upstream):
    async def closes_when_asked_again(peer: Peer) -> None:
        await peer.read()
        await peer.answer(b"ok")
        await peer.read_head()
        peer.close()

    ends: list[bytes | Fault] = []
    with serving(closes_when_asked_again) as fake:
        for number in range(4):
            try:
                ends.append(await whole(await upstream.send(call_to(fake.url, of(b"%d" % number * 600_000)))))
            except Fault as fault:
                ends.append(fault)

        assert len(fake.peers) <= 4
    assert len({request.body[:1] for request in fake.requests}) == len(fake.requests)
    assert all(end == b"ok" or isinstance(end, BrokenFault) for end in ends)
