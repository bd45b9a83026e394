"""What model servers do wrong, as scripts for one connection: each has its case's request whole, unless it says not."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping

from tests.fakes.peer import Peer, head
from tests.fakes.upstream import CHUNKED, Script, chunk

EVENTS = b"content-type: text/event-stream"
JSON = b"content-type: application/json"
HTML = b"content-type: text/html"
PAGE = b"<html><body>Bad gateway</body></html>"
DELTA = b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"word"},"finish_reason":null}]}\n\n'
FINISH = b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'{"error":{"message":"the model is overloaded","type":"server_error","param":null,"code":"busy"}}'
COMPLETION = b'{"id":"c1","choices":[{"index":0,"message":{"content":"word"},"finish_reason":"stop"}]}'
LARGE_BYTES = 40 * 1024 * 1024
_MIB = 1024 * 1024


def _is_stream(peer: Peer) -> bool:
    return b'"stream":true' in peer.requests[-1].body


def _content_type(peer: Peer) -> bytes:
    return EVENTS if _is_stream(peer) else JSON


async def begin(peer: Peer) -> None:
    """Send an answer's head and its first part: an event of a stream, or the beginning of an object."""
    first = DELTA if _is_stream(peer) else COMPLETION[:20]
    await peer.send(head(_content_type(peer), CHUNKED), chunk(first), pause_s=0.02)


async def healthy(peer: Peer) -> None:
    """Answer."""
    if _is_stream(peer):
        await peer.send(head(EVENTS, CHUNKED) + chunk(DELTA) + chunk(FINISH) + chunk(DONE) + chunk(b""))
    else:
        await peer.answer(COMPLETION, JSON)


async def silent_after_the_head(peer: Peer) -> None:
    await peer.send(head(_content_type(peer), CHUNKED))
    await peer.gone()


async def silent_in_mid_chunk(peer: Peer) -> None:
    await begin(peer)
    await peer.send(b"40\r\ndata: {")
    await peer.gone()


async def trickling(peer: Peer) -> None:
    await begin(peer)
    while True:
        await peer.send(chunk(DELTA if _is_stream(peer) else b" "), pause_s=0.05)


async def trickling_one_event(peer: Peer) -> None:
    await begin(peer)
    while True:
        await peer.send(chunk(b"x"), pause_s=0.05)


async def trickling_its_head(peer: Peer) -> None:
    await peer.send(b"HTTP/1.1 200 OK\r\n")
    for number in itertools.count():
        await peer.send(b"x-%d: y\r\n" % number, pause_s=0.05)


async def announcing_for_ever(peer: Peer) -> None:
    while True:
        await peer.send(head(status=b"103 Early Hints") * 20, pause_s=0.005)


async def flooding(peer: Peer) -> None:
    """Send without an end, and never more than the other side takes."""
    await begin(peer)
    piece = chunk(DELTA * 500 if _is_stream(peer) else b" " * 65_536)
    while True:
        await _unsent_below(peer, _MIB)
        await peer.send(piece)


async def endless_line(peer: Peer) -> None:
    await peer.send(head(EVENTS, CHUNKED))
    while True:
        await _unsent_below(peer, _MIB)
        await peer.send(chunk(b"data: " + b"x" * 65_536))


async def large(peer: Peer) -> None:
    if not _is_stream(peer):
        await peer.send(head(JSON, b"content-length: %d" % LARGE_BYTES) + COMPLETION)
        return await _fill(peer, LARGE_BYTES - len(COMPLETION))
    await peer.send(head(EVENTS, CHUNKED))
    piece = DELTA.replace(b"word", b"word" * 4096)
    for _ in range(LARGE_BYTES // len(piece)):
        await _unsent_below(peer, _MIB)
        await peer.send(chunk(piece))
    return await peer.send(chunk(FINISH) + chunk(DONE) + chunk(b""))


async def _fill(peer: Peer, count: int) -> None:
    while count:
        await _unsent_below(peer, _MIB)
        piece = b" " * min(count, 65_536)
        await peer.send(piece)
        count -= len(piece)


async def _unsent_below(peer: Peer, limit_bytes: int) -> None:
    transport = peer.transport
    while transport.get_write_buffer_size() > limit_bytes and not transport.is_closing():  # noqa: ASYNC110 - a fake
        await asyncio.sleep(0.002)


async def never_reading(peer: Peer) -> None:
    """Leave the body where it is; begin to read again when the test is over, to see the connection's end."""
    peer.stop_reading()
    await asyncio.sleep(4.0)
    peer.start_reading()
    await peer.gone()


def sending(*pieces: bytes, end: str = "stay") -> Script:
    """Return a script that sends this and then stays, closes or resets."""

    async def script(peer: Peer) -> None:
        await peer.send(*pieces, pause_s=0.02)
        await _end(peer, end)

    return script


def breaking_off(*pieces: bytes, end: str) -> Script:
    """Return a script that begins an answer, sends this and then closes or resets."""

    async def script(peer: Peer) -> None:
        await begin(peer)
        await peer.send(*pieces, pause_s=0.02)
        await _end(peer, end)

    return script


async def _end(peer: Peer, end: str) -> None:
    if end == "stay":
        return
    if end == "reset":
        peer.reset()
    else:
        peer.close()
    await peer.gone()


def by_path(scripts: Mapping[str, Script], seen: dict[str, list[Peer]]) -> Script:
    """Return a script that follows the one which the first segment of a request's path names; `seen` gets its peers."""

    async def script(peer: Peer) -> None:
        while True:
            asked = await peer.read_head()
            name = asked.target.split("/")[1]
            seen.setdefault(name, []).append(peer)
            follow = scripts[name]
            if follow is not never_reading:
                await peer.read_rest(asked.head)
            await follow(peer)

    return script
