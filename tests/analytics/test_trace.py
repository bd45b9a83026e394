from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.record import uuid7
from analytics.trace import NOISE_BYTES, attempt_span_id, begun, continued, is_sampled, traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{PARENT}-01".encode()
REQUEST_ID = "0199b0c0-0000-7000-8000-0123456789ab"
request_ids = st.builds(uuid7, st.integers(0, 1 << 60), st.binary(min_size=10, max_size=10))


def test_a_callers_trace_goes_on_with_a_span_of_ours_below_the_callers():
    trace = continued(HEADER, REQUEST_ID)

    assert trace == (TRACE, "80000123456789ab", PARENT)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_the_sampled_flag_goes_along(flags: str, sampled: bool):  # noqa: FBT001 - a parameter of the test
    trace = continued(f"00-{TRACE}-{PARENT}-{flags}".encode(), REQUEST_ID)

    assert trace is not None
    assert is_sampled(trace.span_id) is sampled
    assert traceparent(trace.trace_id, trace.span_id, 1).endswith(f"-0{int(sampled)}")


@pytest.mark.parametrize("more", ["", "-what-comes-later"])
def test_a_later_version_is_read_as_far_as_it_is_known(more: str):
    trace = continued(f"cc-{TRACE}-{PARENT}-01{more}".encode(), REQUEST_ID)

    assert trace is not None
    assert trace.trace_id == TRACE
    assert traceparent(*trace[:2], 1).startswith(f"00-{TRACE}-")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"00",
        HEADER + b"-more",
        HEADER + b"0",
        HEADER + b"\n",
        b"cc" + HEADER[2:] + b"more",
        HEADER + b", " + HEADER,
        HEADER.upper(),
        HEADER.replace(b"4bf9", b"4bfg"),
        HEADER.replace(b"-0", b"_0"),
        b"ff" + HEADER[2:],
        f"00-{'0' * 32}-{PARENT}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        b"cc" + HEADER[2:] + b"-" + b"x" * 10_000,
        "00-\uff14bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".encode(),
    ],
)
def test_what_is_no_traceparent_continues_nothing(header: bytes):
    assert continued(header, REQUEST_ID) is None


@given(st.binary(max_size=80))
def test_no_bytes_are_too_strange(header: bytes):
    assert continued(header, REQUEST_ID) is None or header[2:3] == b"-"


@given(request_ids, st.integers(0, 1), st.sets(st.integers(1, 1000), min_size=2))
def test_each_try_has_an_id_of_its_own_that_no_request_has(request_id: str, sampled: int, numbers: set[int]):
    trace = continued(f"00-{TRACE}-{PARENT}-0{sampled}".encode(), request_id)
    assert trace is not None
    ids = {attempt_span_id(trace.span_id, number) for number in numbers}

    assert len(ids) == len(numbers)
    assert all(re.fullmatch("[0-3][0-9a-f]{15}", one) for one in ids)
    assert re.fullmatch("[89ab][0-9a-f]{15}", trace.span_id)
    assert {is_sampled(one) for one in ids} == {bool(sampled)}


@given(request_ids, st.binary(min_size=NOISE_BYTES, max_size=NOISE_BYTES))
def test_a_trace_that_begins_here_has_no_parent_and_is_sampled_by_its_share(request_id: str, noise: bytes):
    every, none = begun(noise, request_id, 1.0), begun(noise, request_id, 0.0)

    assert every.trace_id == none.trace_id == noise.hex()
    assert every.parent_span_id is none.parent_span_id is None
    assert is_sampled(every.span_id)
    assert not is_sampled(none.span_id)


def test_about_the_share_is_sampled():
    noises = (number.to_bytes(1) * NOISE_BYTES for number in range(256))

    assert sum(is_sampled(begun(noise, REQUEST_ID, 0.25).span_id) for noise in noises) == 64
