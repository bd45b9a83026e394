from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.sse import DONE, Splitter, payload

PIECES = (b"\r", b"\n", b"\r\n", b"\n\n", b"data: a", b"data:b", b"data", b": ping", b"id: 7", b"\xff", b" ")
streams = st.lists(st.sampled_from(PIECES), max_size=24).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Cut a stream at some places, which may lie beyond its end or be the same."""
    ends = sorted(min(place, len(stream)) for place in places)
    return [stream[start:end] for start, end in zip([0, *ends], [*ends, len(stream)], strict=True)]


def split(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = Splitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events, splitter.rest()


def by_lines(event: bytes) -> bytes | None:
    """Read an event line by line, as section 9.2.6 says."""
    values: list[bytes] = []
    for line in re.split(rb"\r\n|\n|\r", event):
        field, _, value = line.partition(b":")
        if field == b"data":
            values.append(value[1:] if value[:1] == b" " else value)
    return b"\n".join(values) if values else None


@given(streams, st.lists(st.integers(0, 80), max_size=12))
def test_the_same_bytes_give_the_same_events_however_they_are_cut(stream: bytes, places: list[int]):
    assert split(cut(stream, places)) == split([stream])


@given(streams)
def test_byte_by_byte_gives_the_same_events(stream: bytes):
    assert split([stream[at : at + 1] for at in range(len(stream))]) == split([stream])


@given(streams, st.lists(st.integers(0, 80), max_size=12))
def test_no_byte_is_lost_or_made_up(stream: bytes, places: list[int]):
    events, rest = split(cut(stream, places))

    assert b"".join(events) + rest == stream


@given(streams)
def test_every_event_ends_with_its_first_empty_line(stream: bytes):
    events, rest = split([stream])

    for event in events:
        lines = re.split(rb"\r\n|\n|\r", event)
        assert lines[-2:] == [b"", b""]
        assert all(lines[1:-2])
    assert all(re.split(rb"\r\n|\n|\r", rest.removesuffix(b"\r"))[1:-1])


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_event_is_whole_with_its_empty_line(end: bytes):
    event = b"data: 1" + end + end

    assert Splitter().feed(event) == [event]


def test_a_final_carriage_return_waits_for_its_line_feed():
    splitter = Splitter()

    assert splitter.feed(b"data: 1\r\n\r") == []
    assert splitter.feed(b"\ndata: 2\r\r") == [b"data: 1\r\n\r\n"]
    assert splitter.kept_bytes == len(b"data: 2\r\r")
    assert splitter.feed(b"data: 3") == [b"data: 2\r\r"]


def test_line_ends_may_change_in_the_middle():
    assert split([b"data: 1\n\ndata: 2\r\n\r\ndata: 3\r\rdata: 4\n\r\nrest"]) == (
        [b"data: 1\n\n", b"data: 2\r\n\r\n", b"data: 3\r\r", b"data: 4\n\r\n"],
        b"rest",
    )


def test_a_carriage_return_and_its_line_feed_are_one_line_end():
    assert split([b"data: 1\r\ndata: 2\r\n"]) == ([], b"data: 1\r\ndata: 2\r\n")


def test_the_rest_is_given_once():
    splitter = Splitter()
    splitter.feed(b"data: 1\n\ndata: 2")

    assert splitter.kept_bytes == len(b"data: 2")
    assert splitter.rest() == b"data: 2"
    assert (splitter.rest(), splitter.kept_bytes) == (b"", 0)


@given(streams)
def test_a_payload_is_read_by_the_rules_of_the_standard(event: bytes):
    assert payload(event) == by_lines(event)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\n\n", b"{}"),
        (b"data:  {} \n\n", b" {} "),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\ndata: b\n", b"a\nb"),
        (b"data: a\nid: 1\n", b"a"),
        (b"data: a\r\nid: 1\r\ndata\r\n\r\n", b"a\n"),
        (b"event: x\rdata: a\r\r", b"a"),
        (b"data: a", b"a"),
        (b"data\n\n", b""),
        (b"data: \n\n", b""),
        (b"data: [DONE]\n\n", DONE),
        (b": ping\n\n", None),
        (b"database: a\n\n", None),
        (b"DATA: a\n\n", None),
        (b" data: a\n\n", None),
        (b"\n\n", None),
        (b"", None),
    ],
)
def test_payloads(event: bytes, expected: bytes | None):
    assert payload(event) == expected
