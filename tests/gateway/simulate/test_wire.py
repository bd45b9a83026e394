from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.simulate.reply import Received
from gateway.simulate.wire import ChatRequest, last_message, read

HELLO = [{"role": "user", "content": "hello"}]


def asked(**fields: object) -> ChatRequest:
    return read(Received(body=json.dumps({"model": "m", "messages": HELLO, **fields}).encode()))


def test_a_prompt_is_billed_by_the_bytes_of_its_messages_as_received():
    request = read(Received(body=b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'))

    assert request.prompt_tokens == -(-len('[{"role":"user","content":"hello"}]') // 4)


def test_a_request_can_fix_its_token_counts():
    request = asked(metadata={"simulate_input_tokens": "1020", "simulate_output_tokens": "129"})

    assert request.prompt_tokens == 1020
    assert request.fixed("simulate_output_tokens") == 129


@pytest.mark.parametrize("count", ["", "-1", "1.5", "x", "10000000", "٣"])
def test_a_fixed_count_that_is_no_count_is_refused(count: str):
    with pytest.raises(BadRequestError, match="whole number of tokens"):
        _ = asked(metadata={"simulate_input_tokens": count}).prompt_tokens


def test_the_newer_name_of_the_token_limit_wins():
    assert asked(max_tokens=5, max_completion_tokens=7).most_tokens == 7
    assert asked(max_tokens=5).most_tokens == 5
    assert asked().most_tokens is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'{"model": "m"}', "messages"),
        (b'{"messages": [{}]}', "model"),
        (b'{"model": 3, "messages": [{}]}', "model"),
        (b'{"model": "m", "messages": [{}], "n": 0}', "n"),
        (b'{"model": "m", "messages": [{}], "stream": "yes"}', "stream"),
        (b'{"model": "m", "messages": [{}], "temperature": 2.1}', "temperature"),
        (b'{"model": "m", "messages": [{}], "top_p": -0.1}', "top_p"),
        (b'{"model": "m", "messages": [{}], "presence_penalty": 3}', "presence_penalty"),
        (b'{"model": "m", "messages": [{}], "stream_options": {"include_usage": true}}', "stream_options"),
        (b'{"model": "m", "messages": []}', "messages"),
        (b'{"model": "m", "messages": [{"content": "\xff"}]}', None),
        (b"[" * 100_000, None),
    ],
)
def test_a_body_that_is_no_request_is_refused_by_the_name_of_the_field(body: bytes, param: str | None):
    with pytest.raises(BadRequestError) as caught:
        read(Received(body=body))

    assert caught.value.param == param


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes):
    with contextlib.suppress(BadRequestError):
        assert read(Received(body=body)).model


def test_who_spoke_last_is_known():
    assert last_message(asked(messages=[*HELLO, {"role": "tool", "content": "3"}])).role == "tool"


@pytest.mark.parametrize("messages", ["text", [{"content": "no role"}], [3]])
def test_messages_without_roles_are_refused(messages: object):
    with pytest.raises(BadRequestError, match="'messages' must be a list"):
        last_message(asked(messages=messages))
