from __future__ import annotations

import pytest

from gateway.errors import TooLargeError, UnsupportedError
from gateway.proxy.caller import GoneError, Header
from gateway.proxy.incoming import Incoming
from tests.fakes.proxy import Caller, Moments

pytestmark = pytest.mark.anyio
CHUNKED: Header = (b"transfer-encoding", b"chunked")


def incoming(*pieces: bytes, header: Header = CHUNKED, limit: int = 100, is_cut: bool = False) -> Incoming:
    return Incoming(Caller(Moments(), *pieces, headers=[header], is_cut=is_cut).connection(), limit)


async def all_of(source: Incoming) -> list[bytes]:
    pieces: list[bytes] = []
    while piece := await source.piece():
        pieces.append(piece)
    return pieces


async def test_pieces_come_as_they_were_sent_without_empty_ones():
    source = incoming(b"a", b"", b"bc", b"")

    assert source.size_bytes is None
    assert await all_of(source) == [b"a", b"bc"]
    assert source.is_over


async def test_a_declared_body_is_over_with_its_last_byte():
    source = incoming(b"abc", b"", header=(b"content-length", b"3"))

    assert source.size_bytes == 3
    assert await source.piece() == b"abc"
    assert source.is_over


@pytest.mark.parametrize("header", [(b"content-length", b"0"), (b"x", b"y")])
async def test_no_body_is_over_at_once(header: Header):
    source = incoming(header=header)

    assert (source.size_bytes, source.is_over, await source.piece()) == (0, True, b"")


async def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read():
    with pytest.raises(TooLargeError):
        incoming(header=(b"content-length", b"101"))


async def test_chunks_are_counted():
    source = incoming(b"x" * 100, b"y", b"z")

    await source.piece()
    with pytest.raises(TooLargeError, match="100 bytes"):
        await source.piece()


async def test_a_coded_body_is_refused():
    with pytest.raises(UnsupportedError):
        incoming(header=(b"content-encoding", b"gzip"))


async def test_a_caller_that_leaves_ends_its_body_with_an_error():
    source = incoming(b"x", is_cut=True)

    assert await source.piece() == b"x"
    with pytest.raises(GoneError):
        await source.piece()
    assert not source.is_over
