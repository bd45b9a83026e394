"""The TCP proxy really does to connections what its faults say."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.fakes.link import Fault, Link, linked
from tests.fakes.peer import Peer
from tests.fakes.upstream import FakeUpstream, closed_port, serving

PATIENCE_S = 5.0
SOON_S = 0.5
"""How long nothing must come before it is believed that nothing will."""


async def repeating(peer: Peer) -> None:
    """Send back every line as it comes."""
    while True:
        await peer.send(await peer.until(b"\n") + b"\n")


@pytest.fixture
def target() -> Iterator[FakeUpstream]:
    with serving(repeating) as upstream:
        yield upstream


@pytest.fixture
def link(target: FakeUpstream) -> Iterator[Link]:
    with linked(target.port) as running:
        yield running


@contextmanager
def connected(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", link.port), timeout=PATIENCE_S) as connection:
        yield connection


def take(connection: socket.socket, count: int) -> bytes:
    taken = b""
    while len(taken) < count and (piece := connection.recv(count - len(taken))):
        taken += piece
    return taken


def say(connection: socket.socket, line: bytes) -> bytes:
    """Send a line and return what comes back."""
    connection.sendall(line)
    return take(connection, len(line))


def test_a_clean_link_passes_everything_both_ways(link: Link):
    line = bytes(range(11, 256)) * 4_000 + b"\n"
    with connected(link) as connection:
        assert say(connection, b"hello\n") == b"hello\n"
        assert say(connection, line) == line
    assert link.accepted == 1


@pytest.mark.parametrize("way", ["upward", "downward"])
def test_what_is_delayed_comes_late(way: str, link: Link):
    link.turn(**{way: Fault(delay_s=0.6)})
    with connected(link) as connection:
        began = time.monotonic()
        assert say(connection, b"hello\n") == b"hello\n"
        assert time.monotonic() - began >= 0.6


@pytest.mark.parametrize("way", ["upward", "downward"])
def test_what_drips_comes_piece_by_piece(way: str, link: Link):
    link.turn(**{way: Fault(drip_bytes=2, drip_s=0.1)})
    with connected(link) as connection:
        began = time.monotonic()
        assert say(connection, b"0123456789\n") == b"0123456789\n"
        assert time.monotonic() - began >= 0.5


def test_a_drip_is_seen_as_small_pieces(link: Link):
    link.turn(downward=Fault(drip_bytes=3, drip_s=0.1))
    with connected(link) as connection:
        connection.sendall(b"0123456789\n")

        assert connection.recv(100) == b"012"


@pytest.mark.parametrize("way", ["upward", "downward"])
def test_a_connection_is_reset_after_so_many_bytes(way: str, link: Link, target: FakeUpstream):
    link.turn(**{way: Fault(reset_at_bytes=4)})
    with connected(link) as connection:
        connection.sendall(b"01\n")
        assert take(connection, 3) == b"01\n"
        connection.sendall(b"234567\n")
        with pytest.raises(ConnectionResetError):
            assert len(take(connection, 100)) <= 1
    until_closed(target)
    assert target.peers[0].received_bytes == (4 if way == "upward" else 10)
    assert target.peers[0].was_reset


@pytest.mark.parametrize("way", ["upward", "downward"])
def test_an_open_and_quiet_connection_is_reset_at_once(way: str, link: Link, target: FakeUpstream):
    with connected(link) as connection:
        assert say(connection, b"hello\n") == b"hello\n"
        link.turn(**{way: Fault(reset_at_bytes=0)})
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    until_closed(target)
    assert target.peers[0].was_reset


def test_the_direction_to_the_target_ends_and_the_other_goes_on(link: Link, target: FakeUpstream):
    with connected(link) as connection:
        assert say(connection, b"hello\n") == b"hello\n"
        link.turn(upward=Fault(half_close_at_bytes=0))
        connection.sendall(b"dropped\n")
        until_closed(target)
        assert not target.peers[0].was_reset
        assert target.peers[0].received_bytes == 6


def test_the_direction_from_the_target_ends_and_the_other_goes_on(link: Link, target: FakeUpstream):
    link.turn(downward=Fault(half_close_at_bytes=3))
    with connected(link) as connection:
        connection.sendall(b"hello\n")
        assert take(connection, 100) == b"hel"
        connection.sendall(b"more\n")
        until(lambda: target.peers[0].received_bytes == 11)


@pytest.mark.parametrize("way", ["upward", "downward"])
def test_what_is_swallowed_comes_when_the_fault_is_over(way: str, link: Link):
    link.turn(**{way: Fault(swallows=True)})
    with connected(link) as connection:
        connection.settimeout(SOON_S)
        connection.sendall(b"hello\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(PATIENCE_S)
        link.turn()
        assert take(connection, 6) == b"hello\n"


def test_a_link_to_nobody_resets(link: Link):
    with linked(closed_port()) as to_nobody, connected(to_nobody) as connection, suppress(ConnectionResetError):
        assert connection.recv(1) == b""


def test_both_ends_see_each_other_close(link: Link, target: FakeUpstream):
    with connected(link) as connection:
        assert say(connection, b"hello\n") == b"hello\n"
    until_closed(target)
    assert not target.peers[0].was_reset


def until_closed(target: FakeUpstream) -> None:
    until(lambda: target.peers and not target.open_peers())


def until(is_so) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)
