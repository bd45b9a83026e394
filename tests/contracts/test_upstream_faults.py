"""What every upstream client promises when it cannot connect, or when what comes back is no answer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.proxy.upstream import Answer, BrokenFault, RefusedFault, StalledFault, Upstream
from tests.fakes.peer import Peer, head
from tests.fakes.upstream import (
    CERTIFICATE,
    CHUNKED,
    FakeUpstream,
    Script,
    call_to,
    chunk,
    closed_port,
    echoing,
    hanging_listener,
    serving,
    whole,
)

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
LIMIT_S = 0.4
LATE_S = 4.0


async def fault_kind(upstream: Upstream, url: str) -> str:
    with pytest.raises(RefusedFault) as caught:
        await upstream.send(call_to(url))
    return caught.value.kind


async def test_a_closed_port_is_refused(upstream: Upstream):
    assert await fault_kind(upstream, f"http://127.0.0.1:{closed_port()}") == "connect_refused"
    assert await fault_kind(upstream, f"https://127.0.0.1:{closed_port()}") == "connect_refused"


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 70 + ".invalid"])
async def test_an_unknown_host_is_refused(upstream: Upstream, host: str):
    assert await fault_kind(upstream, f"http://{host}") == "unknown_host"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1", "http:///v1", "http://2130706433/"])
async def test_a_url_that_names_no_server_is_refused(upstream: Upstream, url: str):
    with pytest.raises(RefusedFault):
        await upstream.send(call_to("", url=url))


@pytest.mark.parametrize("headers", [{"x-a": "b\r\nx-c: d"}, {"x-a\r\nx-c": "d"}, {"x-a": "b\0"}])
async def test_a_header_that_would_become_two_is_refused(upstream: Upstream, headers: dict[str, str]):
    with serving() as fake:
        with pytest.raises(RefusedFault):
            await upstream.send(call_to(fake.url, headers=headers))

        assert await fake.all_closed(within_s=LATE_S)
    assert not fake.requests
    assert not [peer for peer in fake.peers if peer.received_bytes]


async def test_a_certificate_that_nobody_trusts_is_refused_before_anything_is_sent(upstream: Upstream):
    with serving(tls=True) as fake:
        kind = await fault_kind(upstream, fake.url)

        assert await fake.all_closed(within_s=LATE_S)
    assert kind == "tls_not_trusted"
    assert not [peer for peer in fake.peers if peer.received_bytes]


async def test_a_plain_server_behind_https_is_refused(upstream: Upstream):
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(script) as fake:
        assert await fault_kind(upstream, fake.url.replace("http:", "https:")) == "tls_not_trusted"


def test_a_trusted_certificate_is_accepted_for_its_own_name_alone(client: str):
    with serving(tls=True) as fake:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fakes.tls_caller", client, str(fake.port)],
            cwd=ROOT,
            env={"SSL_CERT_FILE": str(CERTIFICATE), "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert (done.stdout, done.stderr) == ("127.0.0.1: 200, closed in mid-answer\nlocalhost: tls_not_trusted\n", "")


async def test_a_hanging_connect_ends_at_its_limit(upstream: Upstream):
    with hanging_listener() as port:
        started = asyncio.get_running_loop().time()
        with pytest.raises(StalledFault) as caught:
            await upstream.send(call_to(f"http://127.0.0.1:{port}", connect_s=LIMIT_S))
        took_s = asyncio.get_running_loop().time() - started

    assert caught.value.limit == "connect"
    assert LIMIT_S * 0.9 <= took_s <= LIMIT_S + LATE_S


async def test_a_server_that_never_shakes_hands_is_a_hanging_connect(upstream: Upstream):
    with serving(Peer.gone) as fake:
        with pytest.raises(StalledFault) as caught:
            await upstream.send(call_to(fake.url.replace("http:", "https:"), connect_s=LIMIT_S))

        assert await fake.all_closed(within_s=LATE_S)
    assert caught.value.limit == "connect"


def sending(*pieces: bytes, close: bool = False, reset: bool = False) -> Script:
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.send(*pieces, pause_s=0.02)
        if reset:
            peer.reset()
        elif close:
            peer.close()

    return script


def endless(started: bytes, piece: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.read()
        await peer.send(started)
        while True:
            await peer.send(piece)

    return script


LENGTH = b"content-length: 3"
BROKEN: dict[str, tuple[Script, str]] = {
    "close before the head": (sending(close=True), "connection_lost"),
    "reset before the head": (sending(reset=True), "connection_lost"),
    "close in the head": (sending(b"HTTP/1.1 200 OK\r\ncontent-", close=True), "connection_lost"),
    "reset in mid-body": (sending(head(b"content-length: 9"), b"abc", reset=True), "connection_lost"),
    "close in mid-body": (sending(head(b"content-length: 9"), b"abc", close=True), "connection_lost"),
    "close in mid-chunk": (sending(head(CHUNKED), b"9\r\nabc", close=True), "connection_lost"),
    "close without the last chunk": (sending(head(CHUNKED), chunk(b"abc"), close=True), "connection_lost"),
    "no HTTP": (sending(b"+OK ready\r\n\r\n"), "broken_http"),
    "bad status line": (sending(b"HTTP/1.1 OK\r\ncontent-length: 0\r\n\r\n"), "broken_http"),
    "status 99": (sending(head(LENGTH, status=b"099 Low") + b"ab"), "broken_http"),
    "status 600": (sending(head(LENGTH, status=b"600 High") + b"ab"), "broken_http"),
    "another protocol": (sending(head(b"upgrade: x", b"connection: upgrade", status=b"101 S")), "broken_http"),
    "bad chunk size": (sending(head(CHUNKED), b"zz\r\nabc\r\n"), "broken_http"),
    "bad chunk size behind a good chunk": (sending(head(CHUNKED), chunk(b"abc"), b"zz\r\nabc\r\n"), "broken_http"),
    "chunk without its end": (sending(head(CHUNKED), b"3\r\nabcdef\r\n"), "broken_http"),
    "two lengths": (sending(head(LENGTH, b"content-length: 4") + b"abcd"), "broken_http"),
    "negative length": (sending(head(b"content-length: -3") + b"abc"), "broken_http"),
    "length and chunks": (sending(head(LENGTH, CHUNKED) + chunk(b"abc") + chunk(b"")), "broken_http"),
    "200 headers": (sending(head(*(b"x-%d: y" % at for at in range(200)), LENGTH) + b"abc"), "broken_http"),
    "header of 40 KB": (sending(head(b"x: " + b"y" * 40_960, LENGTH) + b"abc"), "broken_http"),
    "reason of 40 KB": (sending(head(LENGTH, status=b"200 " + b"y" * 40_960) + b"abc"), "broken_http"),
    "200 headers on the way": (sending(head(*(b"x-%d: y" % at for at in range(200)), status=b"103 E")), "broken_http"),
    "200 trailers": (
        sending(
            head(CHUNKED) + chunk(b"abc") + b"0\r\n" + b"".join(b"x-%d: y\r\n" % at for at in range(200)) + b"\r\n"
        ),
        "broken_http",
    ),
    "status line without end": (endless(b"HTTP/1.1 200 ", b"y" * 4096), "broken_http"),
    "header without end": (endless(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 4096), "broken_http"),
    "headers without end": (endless(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 512), "broken_http"),
    "trailer without end": (endless(head(CHUNKED) + chunk(b"abc") + b"0\r\nx: ", b"y" * 4096), "broken_http"),
    "trailers without end": (endless(head(CHUNKED) + chunk(b"abc") + b"0\r\n", b"x: y\r\n" * 512), "broken_http"),
    "space before the colon": (sending(head(b"x-a : b", LENGTH) + b"abc"), "broken_http"),
    "length with a sign": (sending(head(b"content-length: +3") + b"abc"), "broken_http"),
    "length in words": (sending(head(b"content-length: three") + b"abc"), "broken_http"),
    "chunk size with a sign": (sending(head(CHUNKED), b"+3\r\nabc\r\n0\r\n\r\n"), "broken_http"),
    "chunk size in another notation": (sending(head(CHUNKED), b"0x3\r\nabc\r\n0\r\n\r\n"), "broken_http"),
    "zero in a header": (sending(head(b"x-a: b\0c", LENGTH) + b"abc"), "broken_http"),
    "header without colon": (sending(head(b"x-a", LENGTH) + b"abc"), "broken_http"),
    "line break in a header": (sending(head(b"x-a: b\rc: d", LENGTH) + b"abc"), "broken_http"),
    "gzip": (sending(head(b"Content-Encoding: GZIP", LENGTH) + b"ab"), "compressed"),
    "gzip behind identity": (
        sending(head(b"content-encoding: identity", b"content-encoding: br", LENGTH) + b"ab"),
        "compressed",
    ),
    "gzip in transfer": (sending(head(b"transfer-encoding: gzip, chunked") + chunk(b"abc")), "compressed"),
}


async def asked(upstream: Upstream, fake: FakeUpstream) -> bytes:
    return await whole(await upstream.send(call_to(fake.url)))


@pytest.mark.parametrize("case", BROKEN)
async def test_what_is_no_answer_breaks_at_once_and_closes_the_connection(upstream: Upstream, case: str):
    script, kind = BROKEN[case]

    with serving(script) as fake:
        with pytest.raises(BrokenFault) as caught:
            await asyncio.wait_for(asked(upstream, fake), LATE_S)

        assert await fake.all_closed(within_s=LATE_S)
    assert caught.value.kind == kind


@pytest.mark.parametrize("case", ["200 headers", "header of 40 KB", "200 trailers", "no HTTP"])
async def test_after_what_was_no_answer_the_next_request_gets_its_own(upstream: Upstream, case: str):
    with serving(BROKEN[case][0], echoing) as fake:
        with pytest.raises(BrokenFault):
            await asked(upstream, fake)

        assert await whole(await upstream.send(call_to(fake.url, b"next"))) == b"next"


async def test_an_answer_that_says_it_is_not_coded_is_taken(upstream: Upstream):
    with serving(sending(head(b"content-encoding: Identity", LENGTH) + b"abc")) as fake:
        assert await whole(await upstream.send(call_to(fake.url))) == b"abc"


async def read_into(pieces: list[bytes], answer: Answer) -> None:
    while piece := await answer.chunk():
        pieces.append(piece)


@pytest.mark.parametrize("end", [b"zz\r\n", b""], ids=["bad chunk", "close"])
async def test_what_came_before_a_break_is_handed_on_to_a_slow_reader_first(upstream: Upstream, end: bytes):
    with serving(sending(head(CHUNKED), chunk(b"abc"), chunk(b"def"), end, close=True)) as fake:
        answer = await upstream.send(call_to(fake.url))
        await asyncio.sleep(0.3)
        read: list[bytes] = []
        with pytest.raises(BrokenFault):
            await read_into(read, answer)
        answer.close()

    assert b"".join(read) == b"abcdef"


@pytest.mark.parametrize("case", ["close before the head", "bad chunk size behind a good chunk", "gzip"])
async def test_a_fault_repeats_no_word_of_the_upstream(upstream: Upstream, case: str):
    script, kind = BROKEN[case]

    with serving(script) as fake, pytest.raises(BrokenFault) as caught:
        await whole(await upstream.send(call_to(fake.url)))

    assert str(caught.value) == kind
    assert caught.value.__cause__ is None
