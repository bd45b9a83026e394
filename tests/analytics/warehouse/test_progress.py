from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from analytics.warehouse.progress import MOST_BYTES, Heard, tell_from_now_on


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield the ends of a pipe; no alarm is left in the end."""
    near, far = os.pipe()
    os.set_blocking(near, False)
    os.set_blocking(far, False)
    before = signal.getsignal(signal.SIGALRM)
    yield near, far
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    os.close(near)
    os.close(far)


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return b""


def heard(descriptor: int, count: int) -> bytes:
    """Return what is told until it is so much."""
    give_up_s, said = time.monotonic() + 10, b""
    while len(said) < count and time.monotonic() < give_up_s:
        time.sleep(0.001)
        said += read(descriptor)
    return said


def test_what_is_known_is_told_again_and_again_as_a_byte_from_0_to_100(pipe: tuple[int, int]):
    known = iter([-1.0, 0.0, 12.9, 100.0, 250.0, *[7.0] * 100_000])
    tell_from_now_on(lambda: next(known), pipe[1], every_s=0.001)

    assert heard(pipe[0], 5)[:5] == bytes([0, 12, 100, 100, 7])


def test_a_pipe_that_nobody_empties_and_a_failing_look_end_nothing(pipe: tuple[int, int]):
    looks: list[None] = []

    def failing() -> float:
        looks.append(None)
        if len(looks) % 2:
            raise RuntimeError
        return 1.0

    try:
        while os.write(pipe[1], bytes(4096)):
            pass
    except BlockingIOError:
        pass
    tell_from_now_on(failing, pipe[1], every_s=0.001)
    give_up_s = time.monotonic() + 10
    while len(looks) < 4 and time.monotonic() < give_up_s:
        time.sleep(0.001)

    assert len(looks) >= 4


def test_only_what_is_news_and_a_percent_is_told_on():
    told: list[int] = []
    hearing = Heard(told.append)
    for chunk in (b"\x00", b"\x05\x09\x07", b"\x08", b"\xff\x65", b"\x64", b"\x64", b""):
        hearing.take(chunk)

    assert told == [0, 9, 100]
    assert not hearing.is_enough


def test_of_a_flood_there_is_soon_enough():
    told: list[int] = []
    hearing = Heard(told.append)
    hearing.take(b"\xfe" * MOST_BYTES)

    assert told == []
    assert hearing.is_enough
