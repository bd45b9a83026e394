"""Callers that take their time: each is ended within its limit, and nobody else notices them."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack

import pytest

from analytics.record import Record
from tests.acceptance.harness import until
from tests.bad_input.front import Front, encoded
from tests.faults.slow_callers import ENDLESS, HEAD, connected, dripping

CROWD = 100
NEVER_READ = 50


def outcomes(front: Front, tag: str) -> list[str]:
    """Return how the requests ended that carry this tag."""
    found = [frame for frame in front.frames() if isinstance(frame, Record)]
    return [record.outcome for record in found if record.tags == {"it": tag}]


def assert_others_succeed(front: Front, count: int = 40) -> None:
    assert [front.post().status for _ in range(count)] == [200] * count


def ended(connection: socket.socket) -> bytes:
    """Return everything that still comes, until the connection is closed."""
    received = b""
    try:
        while more := connection.recv(65536):
            received += more
    except ConnectionError:
        pass
    return received


def code(received: bytes) -> str:
    return json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"]


@pytest.mark.parametrize(
    "before", [b"", HEAD + b"Content-Length: 5000\r\nAuthorization: Bearer KEY\r\n\r\n"], ids=["heads", "bodies"]
)
def test_a_hundred_that_send_a_byte_a_second_are_refused_and_hurt_nobody(front: Front, before: bytes):
    with ExitStack() as held:
        slow: list[socket.socket] = []
        for _ in range(CROWD):
            slow.append(held.enter_context(connected(front.installation)))
            slow[-1].sendall(before.replace(b"KEY", front.key.encode()))
        with dripping(slow, HEAD if not before else b" " * 60):
            assert_others_succeed(front)
            assert {code(ended(connection)) for connection in slow} == {"request_timeout"}


def test_fifty_that_never_read_are_cut_off_and_hurt_nobody(front: Front):
    before = front.installation.log()
    head = HEAD + b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (front.key.encode(), len(ENDLESS))
    with ExitStack() as held:
        for _ in range(NEVER_READ):
            connection = held.enter_context(connected(front.installation, reads_bytes=4096))
            connection.sendall(head + ENDLESS)
        assert_others_succeed(front)

        def are_cut() -> bool:
            lines = front.installation.log()[len(before) :]
            return sum(line.get("codes", {}).get("write_stall", 0) for line in lines) == NEVER_READ

        until(are_cut, "all are cut off", within_s=90)
        until(lambda: all(page.in_flight == 0 for page in front.installation.pages().values()), "none is in flight")


def test_a_caller_that_stops_reading_is_recorded_as_gone(front: Front):
    with connected(front.installation, reads_bytes=4096) as connection:
        connection.sendall(
            HEAD + b"Authorization: Bearer %s\r\nContent-Length: %d\r\n" % (front.key.encode(), len(ENDLESS))
        )
        connection.sendall(b"X-Turnout-Tags: it=stalled\r\n\r\n" + ENDLESS)

        until(lambda: bool(outcomes(front, "stalled")), "it is recorded")
        assert outcomes(front, "stalled") == ["client_cancelled"]


def test_a_second_request_hides_no_disconnect(front: Front):
    body = encoded(stream=True)
    with connected(front.installation) as connection:
        head = HEAD + b"Authorization: Bearer %s\r\nContent-Length: %d\r\n" % (front.key.encode(), len(ENDLESS))
        connection.sendall(head + b"X-Turnout-Tags: it=first\r\n\r\n" + ENDLESS + HEAD + b"\r\n" + body)
        connection.recv(1000)

    until(lambda: bool(outcomes(front, "first")), "the first request is recorded")
    assert outcomes(front, "first") == ["client_cancelled"]


def test_refusals_are_logged_at_most_once_a_second(front: Front):
    before = front.installation.log()
    began = time.monotonic()
    for _ in range(200):
        with connected(front.installation) as connection:
            connection.sendall(b"\x00")
            assert code(ended(connection)) == "invalid_http"
    lasted_s = time.monotonic() - began

    def told() -> list[int]:
        lines = front.installation.log()[len(before) :]
        return [line["codes"]["invalid_http"] for line in lines if "invalid_http" in line.get("codes", {})]

    until(lambda: sum(told()) == 200, "all are counted in the log")
    assert len(told()) <= 2 * (lasted_s + 2)
