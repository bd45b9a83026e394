"""What every upstream client promises of sending: whatever a connection does, its upstream sees a body once at most."""

from __future__ import annotations

import pytest

from gateway.proxy.upstream import BrokenFault, Fault, Upstream
from tests.fakes.peer import Peer
from tests.fakes.upstream import Script, call_to, serving, whole

pytestmark = pytest.mark.anyio


async def closes_when_asked_again(peer: Peer) -> None:
    await peer.read()
    await peer.answer(b"ok")
    await peer.read_head()
    peer.close()


async def closes_after_the_second_body(peer: Peer) -> None:
    await peer.read()
    await peer.answer(b"ok")
    await peer.read()
    peer.close()


async def closes_after_an_answer(peer: Peer) -> None:
    await peer.read()
    await peer.answer(b"ok")
    peer.close()


async def resets_before_the_body(peer: Peer) -> None:
    await peer.read_head()
    peer.reset()


async def resets_after_the_body(peer: Peer) -> None:
    await peer.read()
    peer.reset()


async def resets_in_the_head(peer: Peer) -> None:
    await peer.read()
    await peer.send(b"HTTP/1.1 200 OK\r\n", pause_s=0.01)
    peer.reset()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "script",
    [
        closes_when_asked_again,
        closes_after_the_second_body,
        closes_after_an_answer,
        resets_before_the_body,
        resets_after_the_body,
        resets_in_the_head,
    ],
)
@pytest.mark.parametrize("size_bytes", [100, 600_000])
async def test_a_body_is_never_sent_twice(upstream: Upstream, script: Script, method: str, size_bytes: int):
    bodies = [b"%d" % number * size_bytes for number in range(4)]
    ends: list[bytes | Fault] = []

    with serving(script) as fake:
        for body in bodies:
            try:
                ends.append(await whole(await upstream.send(call_to(fake.url, body, method=method))))
            except Fault as fault:
                ends.append(fault)
        heads = len(fake.peers)

    seen = [request.body for request in fake.requests]
    assert all(seen.count(body) <= 1 for body in bodies)
    assert heads <= len(bodies)
    assert all(end == b"ok" or isinstance(end, BrokenFault) for end in ends)
