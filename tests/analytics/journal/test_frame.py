from __future__ import annotations

import struct
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.feedback import Feedback
from analytics.journal.frame import (
    MAX_FRAME_BYTES,
    DamagedHeadError,
    UnreadableSegmentError,
    pack_head,
    prefix,
    scan,
    unpack_head,
    why_stopped,
)
from analytics.record import SCHEMA, Frame, Opened, Record

FRAMES: list[Frame] = [
    Opened(request_id="0199b0c0-0000-7000-8000-000000000001", seq=1, started_at=1_790_000_000_000_000),
    Record(
        request_id="0199b0c0-0000-7000-8000-000000000001",
        seq=1,
        started_at=1_790_000_000_000_000,
        outcome="ok",
        tags={"team": "west"},
        user_hash=bytes(range(16)),
    ),
    Record(request_id="0199b0c0-0000-7000-8000-000000000002", seq=2, started_at=1, outcome="rejected"),
    Feedback(feedback_id="0199b0c0-0000-7000-8000-000000000003", seq=1, received_at=1, application="a", rating=5),
]


def packed(body: bytes) -> bytes:
    return prefix.pack(len(body), zlib.crc32(body)) + body


BYTES = b"".join(packed(msgspec.msgpack.encode(frame)) for frame in FRAMES)


def test_all_frames_come_back_with_the_offsets_behind_them() -> None:
    found = list(scan(BYTES))

    assert [frame for _, frame in found] == FRAMES
    assert found[-1][0] == len(BYTES)


@given(cut=st.integers(min_value=0, max_value=len(BYTES)))
def test_any_truncation_yields_a_prefix_of_the_frames(cut: int) -> None:
    found = [frame for _, frame in scan(BYTES[:cut])]

    assert found == FRAMES[: len(found)]
    assert len(found) == sum(end <= cut for end, _ in scan(BYTES))


@given(bit=st.integers(min_value=0, max_value=len(BYTES) * 8 - 1))
def test_any_flipped_bit_yields_a_prefix_of_the_frames_and_never_a_wrong_one(bit: int) -> None:
    damaged = bytearray(BYTES)
    damaged[bit // 8] ^= 1 << bit % 8
    found = [frame for _, frame in scan(bytes(damaged))]

    assert found == FRAMES[: len(found)]
    assert len(found) < len(FRAMES)


@given(noise=st.binary(max_size=200))
def test_noise_behind_the_frames_adds_none(noise: bytes) -> None:
    assert [frame for _, frame in scan(BYTES + noise)] == FRAMES


def test_the_zeros_of_preallocated_space_end_the_frames() -> None:
    assert [frame for _, frame in scan(BYTES + bytes(4096))] == FRAMES


def test_a_sound_frame_of_unknown_content_is_told_apart_and_the_next_one_is_read() -> None:
    strange = packed(msgspec.msgpack.encode(["novel", 1, 2]))

    assert [frame for _, frame in scan(strange + BYTES)] == [None, *FRAMES]


def test_a_length_beyond_the_limit_is_not_believed() -> None:
    body = bytes(MAX_FRAME_BYTES + 1)

    assert list(scan(packed(body))) == []


@pytest.mark.parametrize(
    ("rest", "why"), [(b"", "end"), (bytes(3), "zeros"), (bytes(100), "zeros"), (b"\x01", "torn"), (BYTES[:7], "torn")]
)
def test_what_follows_the_last_frame_has_a_name(rest: bytes, why: str) -> None:
    assert why_stopped(rest) == why


@given(worker=st.text(max_size=60), boot=st.text(max_size=60))
def test_a_head_says_whose_frames_follow_and_where(worker: str, boot: str) -> None:
    head = unpack_head(pack_head(worker, boot) + BYTES)

    assert (head.schema, head.worker, head.boot) == (SCHEMA, worker, boot)
    assert head.size_bytes == len(pack_head(worker, boot))


@pytest.mark.parametrize("damage", [b"", b"TNJ", bytes(64), b"%PDF-1.7 and so on", pack_head("w0", "b1")[:-1]])
def test_what_is_no_head_is_refused(damage: bytes) -> None:
    with pytest.raises(DamagedHeadError):
        unpack_head(damage)


@given(bit=st.integers(min_value=0, max_value=len(pack_head("worker-0", "b1")) * 8 - 1))
def test_any_flipped_bit_in_a_head_is_noticed(bit: int) -> None:
    damaged = bytearray(pack_head("worker-0", "b1"))
    damaged[bit // 8] ^= 1 << bit % 8

    with pytest.raises(DamagedHeadError):
        unpack_head(bytes(damaged))


def test_a_head_of_a_later_schema_is_refused_but_not_called_damaged() -> None:
    start = struct.pack("<4sHBB", b"TNJL", SCHEMA + 1, 1, 1) + b"wb"
    head = start + struct.pack("<I", zlib.crc32(start))

    with pytest.raises(UnreadableSegmentError, match=f"schema is {SCHEMA + 1}") as refusal:
        unpack_head(head)
    assert not isinstance(refusal.value, DamagedHeadError)
