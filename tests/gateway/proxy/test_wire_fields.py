"""Bodies that are made to cost: many fields, long keys, much white space, deep nesting."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.proxy import wire

MIB = 1024 * 1024
SLOW_S = 2.0


def refused(read: Callable[[], object]) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read()
    return caught.value


def spelled(name: str, escaped: set[int]) -> str:
    """Write a key with some of its characters as escapes."""
    return '"' + "".join(f"\\u{ord(each):04x}" if at in escaped else each for at, each in enumerate(name)) + '"'


@given(
    st.lists(st.sampled_from(["model", "user", "a", "ab", "x y"]), max_size=6),
    st.lists(st.sampled_from(["1", "12", '"a"', '"a\\""', "[1,2]", "[1]", '{"a":1}', '{"a":{}}', "null"]), min_size=7),
    st.lists(st.sets(st.integers(0, 4)), min_size=7, max_size=7),
    st.sampled_from(["", " ", "\r\n\t"]),
)
def test_a_key_is_found_twice_exactly_when_it_stands_twice(
    names: list[str], values: list[str], escapes: list[set[int]], blank: str
):
    keys = ["model", *names]
    pairs = zip(keys, ['"m"', *values], escapes, strict=False)
    members = [f"{blank}{spelled(key, escaped)}{blank}:{blank}{value}{blank}" for key, value, escaped in pairs]
    body = f"{blank}{{{','.join(members)}}}{blank}".encode()

    if len(set(keys)) == len(keys):
        assert wire.read(body).model == "m"
    else:
        assert refused(lambda: wire.read(body)).code == "duplicate_field"


@pytest.mark.parametrize(
    ("first", "second"),
    [("1", "12"), ("12", "1"), ('"a"', '"a"'), ('{"a":1}', '{"a":1,"b":2}'), ("[1]", "[1]"), ("1", "[1,2]")],
)
@pytest.mark.parametrize("between", ["", ' "y":1,', ' "y":[{"x":1}],'])
def test_a_key_that_stands_twice_is_found_whatever_its_values(first: str, second: str, between: str):
    body = f'{{"model":"m","x":{first},{between}"x":{second}}}'.encode()

    error = refused(lambda: wire.read(body))

    assert (error.param, error.code) == ("x", "duplicate_field")


def test_a_long_key_that_stands_twice_is_shown_short():
    name = "k" * 5000
    error = refused(lambda: wire.read(f'{{"model":"m","{name}":1,"{name}":2}}'.encode()))

    assert len(error.message) < 300
    assert error.param == name[:100]


def test_a_thousand_fields_pass_and_more_are_refused():
    fields = {"model": "m"} | {f"f{number}": 1 for number in range(wire.MAX_FIELDS - 1)}

    assert wire.read(json.dumps(fields).encode()).model == "m"
    assert "more than 1,000" in refused(lambda: wire.read(json.dumps(fields | {"one": 1}).encode())).message


@pytest.mark.parametrize(
    "body",
    [
        b'{ "model":"m", "x":[' + b",".join([b'{"a":1}'] * (2 * MIB)) + b"]}",
        b'{ "model":"m", "x":[' + b",".join([b"1"] * (8 * MIB)) + b"]}",
        b'{ "model":"m","' + b'\\"' * (8 * MIB) + b'":1}',
        b'{ "model":"m"' + b" " * (16 * MIB) + b"}",
        b'{ "model":"m"' + b"".join(b',"%d":1' % number for number in range(MIB)) + b"}",
        b'{ "model":"m","x":' + b"9" * (16 * MIB) + b"}",
    ],
    ids=["objects", "numbers", "escapes in a key", "blanks", "fields", "one number"],
)
def test_no_body_of_the_largest_size_holds_the_worker_up(body: bytes):
    started = time.process_time()
    with contextlib.suppress(BadRequestError):
        wire.read(body)
    took_s = time.process_time() - started

    assert took_s < SLOW_S


def deeper(frames: int, act: Callable[[], Any]) -> Any:
    return act() if frames == 0 else deeper(frames - 1, act)


def deepest_nesting() -> wire.Reading:
    """Return the reading of the deepest body that can be read from here."""
    for depth in range(5000, 0, -1):
        try:
            return wire.read(f'{{"model":"m","metadata":{{"x":{"[" * depth}{"]" * depth}}}}}'.encode())
        except BadRequestError:
            continue
    raise AssertionError


def test_what_was_read_at_the_edge_of_nesting_is_refused_where_less_room_is_left():
    reading = deepest_nesting()

    error = deeper(30, lambda: refused(lambda: reading.metadata_text("user_id")))

    assert (error.param, error.code) == ("metadata", "invalid_type")
