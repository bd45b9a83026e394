from __future__ import annotations

from analytics.journal.segment import SegmentName
from analytics.telemetry.lag import Lag

FIRST, SECOND = SegmentName("w", "b", 0), SegmentName("w", "b", 1)


def test_what_was_read_waits_until_it_is_sealed() -> None:
    lag = Lag()
    lag.read(FIRST, 100, 300, came_at=5)
    lag.read(FIRST, 300, 500, came_at=9)
    lag.read(SECOND, 100, 150, came_at=7)
    assert (lag.waiting_bytes, lag.oldest_at) == (450, 5)

    lag.sealed(FIRST, 300)
    assert (lag.waiting_bytes, lag.oldest_at) == (250, 7)

    lag.sealed(SECOND, 150)
    lag.sealed(FIRST, 500)
    assert (lag.waiting_bytes, lag.oldest_at) == (0, None)


def test_what_was_sealed_before_it_was_read_does_not_wait() -> None:
    lag = Lag()
    lag.read(FIRST, 0, 100, came_at=1)
    lag.sealed(FIRST, 300)
    lag.read(FIRST, 100, 250, came_at=2)

    assert (lag.waiting_bytes, lag.oldest_at) == (0, None)


def test_a_segment_that_is_gone_was_settled() -> None:
    lag = Lag()
    lag.read(FIRST, 0, 100, came_at=1)
    lag.keep([SECOND])
    lag.sealed(FIRST, 50)

    assert (lag.waiting_bytes, lag.oldest_at) == (0, None)


def test_however_often_it_is_looked_what_waits_is_never_too_young() -> None:
    lag = Lag()
    for at in range(1000):
        lag.read(FIRST, at, at + 1, came_at=at)
    assert (lag.waiting_bytes, lag.oldest_at) == (1000, 0)

    lag.sealed(FIRST, 999)
    assert lag.waiting_bytes == 1
    assert lag.oldest_at == 255
