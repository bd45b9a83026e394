from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from analytics.journal.ring import Ring


@given(st.integers(0, 20), st.lists(st.none() | st.binary(max_size=8), max_size=40))
def test_frames_leave_in_the_order_in_which_they_came_and_never_exceed_the_limit(
    limit_bytes: int, steps: list[bytes | None]
) -> None:
    ring, inside, kept = Ring(limit_bytes), deque[bytes](), 0
    for packed in steps:
        if packed is None:
            if inside:
                assert ring.first == inside.popleft()
                ring.drop_first()
            continue
        has_room = sum(map(len, inside)) + len(packed) <= limit_bytes
        assert ring.keep(packed) == has_room
        if has_room:
            inside.append(packed)
            kept += 1
        assert (len(ring), ring.kept) == (len(inside), kept)


def test_a_closed_ring_says_what_it_held_and_takes_nothing() -> None:
    ring = Ring(10)
    assert all(ring.keep(packed) for packed in (b"a", b"b"))

    assert ring.close() == 2
    assert len(ring) == 0
    assert not ring.keep(b"c")
    assert ring.kept == 2
