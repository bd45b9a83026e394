"""What is this client's own; what every client promises stands in `tests/contracts/`."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.proxy.connector import Http1Upstream
from gateway.proxy.upstream import StalledFault
from tests.fakes.peer import Peer
from tests.fakes.upstream import call_to, closed_port, serving, whole

pytestmark = pytest.mark.anyio


async def test_a_send_on_a_client_that_was_closed_is_our_own_mistake_and_said_to_be():
    upstream = Http1Upstream()
    await upstream.close()

    with pytest.raises(RuntimeError):
        await upstream.send(call_to(f"http://127.0.0.1:{closed_port()}"))


@pytest.mark.parametrize("limit_s", [0.1, 0.2])
async def test_a_limit_that_passes_while_connecting_is_named_by_what_was_waited_for(limit_s: float):
    upstream = Http1Upstream()
    with serving(Peer.gone) as fake:
        secure = fake.url.replace("http:", "https:")
        with pytest.raises(StalledFault) as caught:
            await upstream.send(call_to(secure, first_byte_s=limit_s, connect_s=5.0))
    await upstream.close()

    assert caught.value.limit == "first_byte"


async def test_the_connection_that_was_used_last_is_used_first():
    upstream = Http1Upstream()
    with serving() as fake:
        await asyncio.gather(*[_asked(upstream, fake.url) for _ in range(4)])
        opened = len(fake.peers)
        for _ in range(6):
            await _asked(upstream, fake.url)
    await upstream.close()

    assert 1 <= opened <= 4
    assert len(fake.peers) == opened
    assert max(len(peer.requests) for peer in fake.peers) >= 6


async def test_a_connection_whose_end_nobody_has_seen_yet_is_not_used():
    async def closes_after_an_answer(peer: Peer) -> None:
        await peer.read()
        await peer.answer(b"ok")
        peer.close()

    upstream = Http1Upstream()
    with serving(closes_after_an_answer) as fake:
        for _ in range(5):
            assert await _asked(upstream, fake.url) == b"ok"
            _wait_for_its_end(upstream)
    await upstream.close()

    assert [len(peer.requests) for peer in fake.peers] == [1] * 5


def _wait_for_its_end(upstream: Http1Upstream) -> None:
    """Wait without letting the event loop look."""
    given_up_at = time.monotonic() + 10.0
    kept = [connection for origin in upstream._kept.values() for connection in origin]  # noqa: SLF001 - the pool is what is tested
    while any(connection.is_open and connection.is_quiet for connection in kept):
        assert time.monotonic() < given_up_at, "the server did not close"
        time.sleep(0.005)


async def _asked(upstream: Http1Upstream, url: str) -> bytes:
    return await whole(await upstream.send(call_to(url)))
