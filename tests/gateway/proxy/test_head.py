"""Heads as raw bytes; `tests/faults/test_guard_vectors.py` sends many more to a running gateway."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.head import END, authority, head_fault, leading, unfinished_fault, without_upgrade
from gateway.settings.schema import Server

LIMITS = Server(max_headers=10, max_head_bytes=2048, max_request_line_bytes=256)
GOOD = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


def status(head: bytes) -> int | None:
    fault = head_fault(head, head.index(END) + 4, LIMITS)
    return fault.status if fault else None


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (GOOD, None),
        (GOOD + b"a body\nwith line feeds\r\r\n\r\n", None),
        (GOOD.replace(b"1.1", b"1.0"), None),
        (GOOD.replace(b"1.1", b"2.0"), 505),
        (GOOD.replace(b"HTTP/1.1", b"HTTP/3"), 505),
        (GOOD.replace(b" HTTP/1.1", b""), 400),
        (GOOD.replace(b"GET ", b"GET  "), 400),
        (GOOD.replace(b"Host: a", b"Host: a\nX: b"), 400),
        (GOOD.replace(b"Host: a", b"Host: a\rb"), 400),
        (GOOD.replace(b"Host: a", b"Host: a" + b"\r\nX: a" * 9), None),
        (GOOD.replace(b"Host: a", b"Host: a" + b"\r\nX: a" * 10), 431),
        (GOOD.replace(b"Host: a", b"Host: " + b"a" * 2048), 431),
        (GOOD.replace(b"/x", b"/" + b"x" * 300), 414),
    ],
)
def test_a_head_is_judged_by_its_bytes(head: bytes, expected: int | None):
    assert status(head) == expected


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (b"", None),
        (GOOD[:-2], None),
        (GOOD[:-3], None),
        (b"GET /x HTTP/1.1\n", 400),
        (b"GET /" + b"x" * 300, 414),
        (b"GET /x HTTP/1.1\r\nX: " + b"x" * 2100, 431),
    ],
)
def test_a_head_that_cannot_become_good_is_refused_before_its_end(held: bytes, expected: int | None):
    fault = unfinished_fault(held, LIMITS)

    assert (fault.status if fault else None) == expected


@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
def test_no_beginning_of_a_good_head_is_refused(cut: int):
    assert unfinished_fault(GOOD[:cut], LIMITS) is None


@pytest.mark.parametrize(
    ("received", "rest"),
    [(b"\r\n\r\nGET", b"GET"), (b"\r\n", b""), (b"", b""), (b"\nGET", None), (b"\n\rGET", None), (b"\x16\x03", None)],
)
def test_only_whole_empty_lines_may_stand_before_a_request(received: bytes, rest: bytes | None):
    assert leading(received) == rest


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://a:80/x?y", b"a:80"),
        (b"HTTPS://[::1]", b"[::1]"),
        (b"http://u@a/", None),
        (b"ftp://a/", None),
        (b"*", None),
        (b"a:443", None),
    ],
)
def test_a_target_may_name_a_host(target: bytes, host: bytes | None):
    assert authority(target) == host


def test_only_the_upgrade_header_is_taken_out():
    sent = b"POST / HTTP/1.1\r\nUPGRADE: h2c\r\nX-Upgrade: a\r\nConnection: upgrade\r\n\r\nUpgrade: b\r\n\r\n"

    assert without_upgrade(sent) == sent.replace(b"UPGRADE: h2c\r\n", b"")
