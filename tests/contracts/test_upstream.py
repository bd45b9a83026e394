"""What every upstream client promises: a request goes out as asked for, once; an answer comes back as it was sent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.proxy.upstream import BrokenFault, Upstream
from tests.fakes.peer import Gate, Peer, head
from tests.fakes.upstream import CHUNKED, Script, call_to, chunk, serving, until, whole

pytestmark = pytest.mark.anyio

LATE_S = 4.0
"""Room for a busy machine; what nobody closes stays open for ten seconds."""
SIZES = [0, 1024, 300 * 1024, 2 * 1024 * 1024]


def once(*pieces: bytes, end: bool = False) -> Script:
    """Answer one request with these bytes, and end the connection if asked."""

    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.send(*pieces)
        if end:
            peer.close()

    return script


FRAMES: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "chunked": (head(CHUNKED), chunk),
    "length": (head(b"content-length: 190"), bytes),
    "until close": (head(), bytes),
}


@pytest.mark.parametrize("framing", FRAMES)
async def test_every_chunk_is_handed_on_before_the_next_one_exists(upstream: Upstream, framing: str):
    started, framed = FRAMES[framing]
    pieces = [b"data: %d\n\n" % number for number in range(20)]
    gates: list[Gate] = []

    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.send(started)
        for piece, gate in zip(pieces, gates, strict=True):
            await gate.opened()
            await peer.send(framed(piece))
        await peer.send(framed(b""))
        if framing == "until close":
            peer.close()

    with serving(script) as fake:
        gates.extend(fake.gate() for _ in pieces)
        answer = await upstream.send(call_to(fake.url))
        read = []
        for gate in gates:
            gate.open()
            read.append(await answer.chunk())
        end = await answer.chunk()
        answer.close()

    assert read == pieces
    assert end == b""


async def test_status_and_headers_are_the_upstreams_with_names_in_lower_case_and_duplicates_kept(upstream: Upstream):
    sent = (b"Content-Length: 0", b"X-RateLimit-A: 1", b"x-ratelimit-a: 2", b"Set-Cookie: a=b", b"X-Bytes: \xe9\xff")

    with serving(once(head(*sent, status=b"429 Slow down"))) as fake:
        answer = await upstream.send(call_to(fake.url))
        answer.close()

    assert answer.status == 429
    assert list(answer.headers) == [
        (b"content-length", b"0"),
        (b"x-ratelimit-a", b"1"),
        (b"x-ratelimit-a", b"2"),
        (b"set-cookie", b"a=b"),
        (b"x-bytes", b"\xe9\xff"),
    ]


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1/a%2Fb?q=%2B+%20&e=&a=b&a=c",
        "/v1/models/ft%3Agpt%3aacme",
        "/v1/%7Eme/~me?api-version=2024-10-21",
        "/v1/files?after=%e2%82%ac%F0%9f%98%80&limit=1;order=asc",
        "/v1/x?a=b?c=d/e&f=%23%26%3D&g='h'(i)*!,$:@",
        '/v1/x?a[]=1&b={c|d}^`"<e>\\',
        "/v1/x?a=%zz&b=100%&c=%",
        "/v1/x?&&a&=b&",
        "/v1//x/./y/../z",
        "/v1/x?" + "q=" + "z" * 6000,
    ],
)
async def test_path_and_query_keep_their_encoding(upstream: Upstream, target: str):
    with serving() as fake:
        await whole(await upstream.send(call_to(fake.url, url=fake.url + target)))

    assert fake.requests[0].target == target


@pytest.mark.parametrize("size_bytes", SIZES)
async def test_a_request_body_arrives_byte_for_byte_and_with_its_length(upstream: Upstream, size_bytes: int):
    body = os.urandom(size_bytes)

    with serving() as fake:
        echoed = await whole(await upstream.send(call_to(fake.url, body)))

    assert fake.requests[0].body == body
    assert ("content-length", str(size_bytes)) in fake.requests[0].headers
    assert echoed == body


@pytest.mark.parametrize("size_bytes", SIZES)
@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
async def test_an_answer_arrives_byte_for_byte_in_every_framing(upstream: Upstream, framing: str, size_bytes: int):
    body = os.urandom(size_bytes)
    pieces = [body[at : at + 70_001] for at in range(0, size_bytes, 70_001)]
    scripts = {
        "length": once(head(b"content-length: %d" % size_bytes), *pieces),
        "chunked": once(head(CHUNKED), *map(chunk, pieces), chunk(b"")),
        "until close": once(head(), *pieces, end=True),
    }

    with serving(scripts[framing]) as fake:
        received = await whole(await upstream.send(call_to(fake.url)))

    assert received == body


async def test_nothing_is_sent_that_was_not_asked_for(upstream: Upstream):
    with serving() as fake:
        await whole(await upstream.send(call_to(fake.url, headers={"content-type": "application/json", "x-a": "1"})))

    request = fake.requests[0]
    assert request.lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert sorted(request.headers) == [
        ("content-length", "13"),
        ("content-type", "application/json"),
        ("host", f"127.0.0.1:{fake.port}"),
        ("x-a", "1"),
    ]


async def test_a_request_without_body_or_headers_says_no_more_than_its_host(upstream: Upstream):
    with serving() as fake:
        await whole(await upstream.send(call_to(fake.url, b"", method="GET", headers={})))

    assert [name for name, _ in fake.requests[0].headers if name != "content-length"] == ["host"]


async def test_the_environment_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: Upstream):
    passwords = tmp_path / "netrc"
    passwords.write_text("machine 127.0.0.1 login somebody password secret\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("NETRC", str(passwords))

    with serving() as proxy, serving() as fake:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await whole(await upstream.send(call_to(fake.url)))

    assert not proxy.peers
    assert "authorization" not in dict(fake.requests[0].headers)


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"307 Temporary", b"308 Permanent"])
async def test_a_redirect_is_an_answer_like_any_other(upstream: Upstream, status: bytes):
    with serving() as elsewhere:
        location = b"location: " + elsewhere.url.encode()
        with serving(once(head(location, b"content-length: 0", status=status))) as fake:
            answer = await upstream.send(call_to(fake.url))
            answer.close()

    assert answer.status == int(status[:3])
    assert len(fake.requests) == 1
    assert not elsewhere.peers


async def test_a_cookie_is_not_kept(upstream: Upstream):
    async def script(peer: Peer) -> None:
        while True:
            await peer.read()
            await peer.answer(b"", b"set-cookie: session=1; Path=/")

    with serving(script) as fake:
        await whole(await upstream.send(call_to(fake.url)))
        await whole(await upstream.send(call_to(fake.url)))

    assert [name for request in fake.requests for name, _ in request.headers if name == "cookie"] == []


async def test_answers_on_the_way_to_the_final_one_are_passed_over(upstream: Upstream):
    heads = (head(status=b"100 Continue"), head(status=b"103 Early Hints"), head(b"content-length: 2"))

    with serving(once(*heads, b"ok")) as fake:
        answer = await upstream.send(call_to(fake.url))
        body = await whole(answer)

    assert (answer.status, body) == (200, b"ok")


@pytest.mark.parametrize(
    ("method", "status", "headers"),
    [
        ("POST", b"204 No Content", ()),
        ("GET", b"304 Not Modified", (b"content-length: 9",)),
        ("HEAD", b"200 OK", (b"content-length: 9",)),
        ("HEAD", b"200 OK", (CHUNKED,)),
    ],
)
async def test_an_answer_that_has_no_body_ends_with_its_head_and_keeps_its_connection(
    upstream: Upstream, method: str, status: bytes, headers: tuple[bytes, ...]
):
    async def script(peer: Peer) -> None:
        while True:
            await peer.read()
            await peer.send(head(*headers, status=status))

    with serving(script) as fake:
        bodies = [await whole(await upstream.send(call_to(fake.url, method=method))) for _ in range(3)]

    assert bodies == [b""] * 3
    assert len(fake.peers) == 1


@pytest.mark.parametrize("count", [100, 127])
async def test_as_many_headers_as_the_limit_allows_are_handed_on(upstream: Upstream, count: int):
    names = [b"x-%d: y" % number for number in range(count)]

    with serving(once(head(*names, b"content-length: 0"))) as fake:
        answer = await upstream.send(call_to(fake.url))
        answer.close()

    assert len(answer.headers) == count + 1


async def test_a_connection_is_used_again_after_an_answer_that_was_read_to_its_end(upstream: Upstream):
    with serving() as fake:
        for _ in range(5):
            await whole(await upstream.send(call_to(fake.url)))

        assert len(fake.peers) == 1
    assert len(fake.requests) == 5


async def test_a_connection_is_closed_at_once_by_the_close_of_an_answer_that_is_not_read(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.send(head(CHUNKED), chunk(b"first"))

    with serving(script) as fake:
        answer = await upstream.send(call_to(fake.url))
        await answer.chunk()
        answer.close()

        assert await fake.all_closed(within_s=LATE_S)


async def test_the_close_of_the_client_breaks_a_running_answer(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.send(head(CHUNKED), chunk(b"first"))

    with serving(script) as fake:
        answer = await upstream.send(call_to(fake.url))
        await answer.chunk()
        reading = asyncio.create_task(answer.chunk())
        await asyncio.sleep(0.05)
        await upstream.close()

        with pytest.raises(BrokenFault):
            await asyncio.wait_for(reading, LATE_S)
        answer.close()
        assert await fake.all_closed(within_s=LATE_S)


async def test_bytes_that_nobody_asked_for_never_become_the_next_answer(upstream: Upstream):
    async def poisoning(peer: Peer) -> None:
        await peer.read()
        await peer.answer(b"asked for")
        await asyncio.sleep(0.05)
        await peer.answer(b"injected")
        injected.append(peer)

    async def honest(peer: Peer) -> None:
        await peer.read()
        await peer.answer(b"asked for")

    injected: list[Peer] = []
    with serving(poisoning, honest) as fake:
        first = await whole(await upstream.send(call_to(fake.url)))
        await until(lambda: len(injected) == 1)
        await asyncio.sleep(0.1)
        second = await whole(await upstream.send(call_to(fake.url)))

    assert (first, second) == (b"asked for", b"asked for")


async def test_an_answer_that_comes_before_the_body_was_taken_is_handed_on(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.read_head()
        peer.stop_reading()
        await peer.answer(b"too large", status=b"413 Content Too Large")

    with serving(script, receive_buffer_bytes=64 * 1024) as fake:
        answer = await upstream.send(call_to(fake.url, b"x" * 16_000_000))
        body = await whole(answer)
        later = await whole(await upstream.send(call_to(fake.url, b"y" * 16_000_000)))

        assert len(fake.peers) == 2
    assert (answer.status, body, later) == (413, b"too large", b"too large")
