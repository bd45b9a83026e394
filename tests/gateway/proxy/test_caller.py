from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import TooLargeError, UnauthorizedError, UnsupportedError
from gateway.proxy.caller import Connection, GoneError, Header
from gateway.proxy.limits import Room
from tests.fakes.proxy import Caller, Moments

pytestmark = pytest.mark.anyio
LIMIT_BYTES = 1000
ROOM_BYTES = 100 * LIMIT_BYTES


def connected(*pieces: bytes, headers: Sequence[Header] = ()) -> tuple[Caller, Connection]:
    caller = Caller(Moments(), *pieces, headers=headers)
    return caller, caller.connection()


async def test_a_request_is_seen_as_it_was_sent():
    caller = Caller(Moments(), method="GET", path="/v1/models/a%3Ab", query=b"x=%20")

    connection = caller.connection()

    assert (connection.method, connection.path, connection.query) == ("GET", "/v1/models/a%3Ab", b"x=%20")


async def test_a_path_outside_ascii_is_nobodys_path():
    scope = {"headers": [], "raw_path": b"/v1/\xe9"}

    assert Connection(scope, Caller(Moments()).receive, Caller(Moments()).send).path == "/v1/�"


async def test_the_lines_of_a_repeated_header_are_joined_in_their_order_and_it_is_named():
    _, connection = connected(headers=[(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"a", b"")])

    assert connection.headers == {b"a": b"1, 3, ", b"b": b"2"}
    assert connection.repeated == {b"a"}


async def test_headers_that_stand_once_are_as_they_were_sent():
    _, connection = connected(headers=[(b"a", b" 1"), (b"b", b"2")])

    assert connection.headers == {b"a": b" 1", b"b": b"2"}
    assert not connection.repeated


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=8))
def test_a_body_is_whole_however_it_comes(pieces: list[bytes]):
    async def read() -> bytes:
        return await connected(*pieces)[1].body(LIMIT_BYTES, Room(ROOM_BYTES))

    assert asyncio.run(read()) == b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, LIMIT_BYTES])
async def test_a_body_up_to_the_limit_is_taken(size: int):
    _, connection = connected(b"x" * size, headers=[(b"content-length", b"%d" % size)])

    assert len(await connection.body(LIMIT_BYTES, Room(ROOM_BYTES))) == size


@pytest.mark.parametrize("declared", [b"1001", b"99999999999999999999999999", b"9" * 5000])
async def test_a_body_that_says_it_is_too_large_is_refused_unread(declared: bytes):
    caller, connection = connected(headers=[(b"content-length", declared)])

    with pytest.raises(TooLargeError, match="1,000 bytes"):
        await connection.body(LIMIT_BYTES, Room(ROOM_BYTES))
    assert not caller.sent


async def test_a_body_that_turns_out_too_large_is_refused_before_its_end():
    _, connection = connected(b"x" * 600, b"x" * 401, b"never read")

    with pytest.raises(TooLargeError):
        await connection.body(LIMIT_BYTES, Room(ROOM_BYTES))


@pytest.mark.parametrize("coding", [b"gzip", b"deflate, gzip", b"br", b"", b"identity, identity"])
async def test_a_compressed_body_is_refused(coding: bytes):
    _, connection = connected(b"{}", headers=[(b"content-encoding", coding)])

    with pytest.raises(UnsupportedError, match="without content-encoding"):
        await connection.body(LIMIT_BYTES, Room(ROOM_BYTES))


async def test_a_caller_who_leaves_in_its_body_is_gone():
    connection = Caller(Moments(), b"half", is_cut=True).connection()

    with pytest.raises(GoneError):
        await connection.body(LIMIT_BYTES, Room(ROOM_BYTES))
    assert connection.gone


async def test_whoever_answers_is_cancelled_as_soon_as_the_caller_leaves():
    caller, connection = connected()
    watching = asyncio.Event()

    async def answer() -> None:
        connection.watch()
        watching.set()
        await asyncio.sleep(60)

    answering = asyncio.create_task(answer())
    await watching.wait()
    caller.leave()

    with pytest.raises(asyncio.CancelledError):
        await answering
    assert connection.gone


async def test_who_stopped_watching_is_not_cancelled():
    caller, connection = connected()

    async def answer() -> str:
        connection.watch()
        await asyncio.sleep(0.01)
        return "answered"

    assert await asyncio.create_task(answer()) == "answered"
    connection.unwatch()
    caller.leave()
    await asyncio.sleep(0)
    assert not connection.gone


async def test_after_the_answer_a_disconnect_changes_nothing():
    caller, connection = connected()
    connection.watch()
    await connection.start(200, [])
    await connection.finish(b"whole")

    caller.leave()
    await asyncio.sleep(0.01)

    assert not connection.gone
    assert caller.is_finished


async def test_a_refusal_is_openais_envelope_with_its_length():
    caller, connection = connected()

    await connection.refuse(UnauthorizedError("No."), [(b"x-request-id", b"r1")])

    assert (caller.status, connection.status, connection.started) == (401, 401, True)
    assert caller.headers == {
        "content-type": "application/json",
        "content-length": str(len(caller.body)),
        "www-authenticate": "Bearer",
        "x-request-id": "r1",
    }
    assert caller.error == {
        "message": "No.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


async def test_a_refusal_is_not_interrupted_by_the_caller_leaving():
    caller, connection = connected()
    connection.watch()

    await connection.refuse(UnauthorizedError("No."), [])
    caller.leave()

    await asyncio.sleep(0)
    assert not connection.gone
    assert caller.is_finished
