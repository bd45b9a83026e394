from __future__ import annotations

import random

import msgspec
import pytest

from analytics.content import MAX_BODY_BYTES, Content, expiry, is_sampled
from analytics.journal.frame import MAX_FRAME_BYTES
from analytics.record import uuid7


def test_content_expires_whole_days_after_it_was_captured():
    assert expiry(1_000_000, 2) == 1_000_000 + 2 * 24 * 3600 * 1_000_000


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_share_of_requests_is_sampled_and_each_always_or_never(share: float):
    chance = random.Random(7)
    ids = [uuid7(chance.randrange(1 << 50), chance.randbytes(10)) for _ in range(4000)]

    sampled = [one for one in ids if is_sampled(one, share)]

    assert abs(len(sampled) / len(ids) - share) < 0.03
    assert [one for one in ids if is_sampled(one, share)] == sampled
    assert set(sampled) <= {one for one in ids if is_sampled(one, min(share + 0.1, 1.0))}


def test_the_longest_body_that_is_kept_fits_a_frame_with_everything_beside_it():
    largest = Content(
        kind="request",
        seq=2**53,
        application="a" * 64,
        captured_at=2**62,
        expires_at=2**62,
        body=b"x" * MAX_BODY_BYTES,
        size_bytes=2**62,
        is_truncated=True,
        request_id="0" * 36,
        response_id="\U0001f600" * 256,
        feedback_id="0" * 36,
        endpoint="e" * 200,
        content_type="\u00ff" * 200,
        user_hash=bytes(16),
    )

    assert len(msgspec.msgpack.encode(largest)) < MAX_FRAME_BYTES
