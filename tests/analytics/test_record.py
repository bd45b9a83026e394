from __future__ import annotations

import uuid

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from analytics.record import Frame, Opened, Record, interrupted, uuid7

OPENED = Opened(
    request_id="0199b0c0-0000-7000-8000-000000000001",
    seq=7,
    started_at=1_790_000_000_000_000,
    application="sales",
    endpoint="/v1/chat/completions",
    rollout="sales-companion",
    percent=10.0,
    bucket=412,
    arm_assigned="candidate",
    user_hash=b"0123456789abcdef",
    stream=True,
    tags={"team": "west"},
    deadline_at=1_790_000_600_000_000,
)


def test_an_interrupted_request_keeps_every_fact_that_was_known_when_it_was_opened() -> None:
    record = interrupted(OPENED)

    shared = set(Opened.__struct_fields__) - {"deadline_at"}
    assert {name: getattr(record, name) for name in shared} == {name: getattr(OPENED, name) for name in shared}


def test_an_interrupted_request_has_no_answer_and_no_cost() -> None:
    record = interrupted(OPENED)

    assert record.outcome == "interrupted"
    assert (record.cost_usd, record.cost_unknown, record.usage_source) == (None, "no_usage", "missing")
    assert (record.status, record.latency_ms, record.arm_served, record.attempts) == (None, None, None, [])


def test_every_fact_of_the_opening_but_its_deadline_is_a_column_of_the_record() -> None:
    assert set(Opened.__struct_fields__) - set(Record.__struct_fields__) == {"deadline_at"}


def test_both_frames_come_back_from_msgpack_as_what_they_were() -> None:
    decoder = msgspec.msgpack.Decoder(Frame)

    for frame in (OPENED, interrupted(OPENED)):
        assert decoder.decode(msgspec.msgpack.encode(frame)) == frame


@given(at_us=st.integers(min_value=0, max_value=2**47 * 1000), noise=st.binary(min_size=10, max_size=10))
def test_a_request_id_is_a_version_7_uuid_that_carries_its_millisecond(at_us: int, noise: bytes) -> None:
    made = uuid.UUID(uuid7(at_us, noise))

    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == at_us // 1000
    assert str(made) == uuid7(at_us, noise)


@given(
    moments=st.lists(st.integers(min_value=0, max_value=2**47), min_size=2, max_size=2, unique=True),
    noises=st.lists(st.binary(min_size=10, max_size=10), min_size=2, max_size=2),
)
def test_request_ids_sort_by_millisecond(moments: list[int], noises: list[bytes]) -> None:
    early, late = sorted(moments)

    assert uuid7(early * 1000, noises[0]) < uuid7(late * 1000, noises[1])
