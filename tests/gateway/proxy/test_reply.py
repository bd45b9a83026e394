"""What is read of an upstream's answer, and what is no answer at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.usage import WireUsage
from gateway.proxy import reply

odd = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({}) | st.just([{}])
deltas = st.fixed_dictionaries({}, optional={"content": odd, "tool_calls": odd, "audio": odd})
choices = st.fixed_dictionaries({}, optional={"delta": odd | deltas, "finish_reason": odd})
usages = st.fixed_dictionaries({}, optional={"prompt_tokens": odd, "prompt_tokens_details": odd})
answers = st.fixed_dictionaries(
    {},
    optional={
        "id": odd,
        "choices": odd | st.lists(choices, max_size=2),
        "usage": odd | usages,
        "error": odd,
        "service_tier": odd,
        "response": odd | st.fixed_dictionaries({}, optional={"id": odd, "usage": odd | usages}),
    },
)


def answered(text: str) -> reply.Reply:
    answer = reply.read(text.encode())
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    "delta",
    [
        '{"content":"x"}',
        '{"reasoning":"x"}',
        '{"reasoning_content":"x"}',
        '{"refusal":"x"}',
        '{"tool_calls":[{"index":0}]}',
        '{"function_call":{"name":"f"}}',
        '{"audio":{"id":"a"}}',
        '{"role":"assistant","content":" "}',
    ],
)
def test_a_delta_that_carries_output(delta: str):
    assert answered(f'{{"choices":[{{"delta":{{}}}},{{"delta":{delta}}}]}}').has_delta


@pytest.mark.parametrize(
    "choices",
    ["null", "[]", '[{"delta":null}]', '[{"delta":{"role":"assistant","content":"","refusal":null,"tool_calls":[]}}]'],
)
def test_a_delta_that_carries_none(choices: str):
    assert not answered(f'{{"choices":{choices}}}').has_delta


def test_the_first_reason_to_end_counts():
    assert answered('{"choices":[{"finish_reason":null},{"finish_reason":"length"}]}').finish_reason == "length"
    assert answered('{"choices":[{}]}').finish_reason is None
    assert answered("{}").finish_reason is None


def test_the_extra_chunk_with_usage_has_no_choice():
    assert answered('{"choices":[],"usage":{"prompt_tokens":1}}').is_usage_only
    assert answered('{"usage":{"prompt_tokens":1}}').is_usage_only
    assert not answered('{"choices":[{}],"usage":{"prompt_tokens":1}}').is_usage_only
    assert not answered('{"choices":[],"usage":null}').is_usage_only


def test_an_error_is_anything_but_null():
    assert answered('{"error":{"message":"x"}}').failed
    assert answered('{"error":"x"}').failed
    assert not answered('{"error":null}').failed
    assert not answered("{}").failed


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"hello", b'{"id":"\xff"}', b'{"x":' + b"[" * 5000 + b"]" * 5000, b'{"id":5,"x":"\xff'],
)
def test_what_is_no_json_object_is_none(body: bytes):
    assert reply.read(body) is None


def test_a_field_of_unknown_shape_counts_as_absent_and_the_others_are_read():
    answer = answered('{"id":5,"choices":7,"usage":{"prompt_tokens":10.0,"completion_tokens":"4"},"error":null}')

    assert (answer.id, answer.choices, answer.failed) == (None, None, False)
    assert answer.usage == WireUsage(prompt_tokens=10, completion_tokens=4)


@given(st.binary(max_size=64))
def test_no_bytes_break_the_reader(body: bytes):
    assert reply.read(body) is None or isinstance(json.loads(body), dict)


@given(answers)
def test_no_answer_breaks_the_reader(sent: dict[str, Any]):
    answer = reply.read(json.dumps(sent).encode())

    if answer is not None:
        assert answer.failed == (sent.get("error") is not None)
        assert answer.id == (sent.get("id") if isinstance(sent.get("id"), str) else None)
        assert isinstance(answer.has_delta, bool)
        assert isinstance(answer.is_usage_only, bool)


def test_what_the_event_of_a_response_wraps_is_read():
    event = answered('{"response":{"id":"resp_1","service_tier":"flex","usage":{"input_tokens":3}},"type":7}')

    assert event.response is not None
    assert (event.response.id, event.response.service_tier) == ("resp_1", "flex")
    assert event.response.usage == WireUsage(input_tokens=3)


def test_a_response_of_unknown_shape_counts_as_absent_and_a_tier_as_unreadable():
    odd_one = answered('{"id":"a","service_tier":3,"response":"text","usage":{"prompt_tokens":4}}')

    assert (odd_one.id, odd_one.service_tier, odd_one.response) == ("a", reply.UNREADABLE_TIER, None)
    assert odd_one.usage == WireUsage(prompt_tokens=4)


@pytest.mark.parametrize(
    ("end", "input_tokens"),
    [
        (b'5]}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}', 7),
        (b'5\n ]\n }\n ],\n "usage": {\n "input_tokens": 7, "input_tokens_details": {"image_tokens": 2}\n }\n}\n', 7),
        (b'a"}],"usage":{"prompt_tokens":7},"model":"m"}', 7),
        (b'"usage":{"prompt_tokens":7}}', None),
        (b'a"}],"x":{"usage":{"prompt_tokens":7}}}', None),
        (b'a"}],"x":[{"id":1,"usage":{"prompt_tokens":7}}]}', None),
        (b'say ,\\"usage\\":{\\"prompt_tokens\\":7}}"}]}', None),
        (b'["usage", {"prompt_tokens":7}]}', None),
        (b'[1, "usage"]}', None),
        (b'5]}],"usage":{"prompt_tok', None),
        (b"", None),
        (b"\xff\xfe,\x00", None),
    ],
)
def test_usage_is_found_at_the_end_of_an_answer_where_it_is_its_own(end: bytes, input_tokens: int | None):
    read = reply.read_end(end)

    usage = read.usage if read is not None else None
    found = None if usage is None else usage.prompt_tokens or usage.input_tokens
    assert found == input_tokens


@given(st.dictionaries(st.sampled_from(["usage", "a", "b"]), odd | st.dictionaries(st.text(max_size=5), odd)))
def test_the_end_of_an_answer_is_read_as_the_whole_is_or_not_at_all(fields: dict[str, Any]):
    body = json.dumps({"first": ',"usage":{"prompt_tokens":9}', **fields}).encode()

    whole = reply.read(body)
    for cut in range(len(body)):
        end = reply.read_end(body[cut:])
        assert end is None or whole is None or end.usage == whole.usage
