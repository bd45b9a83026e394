from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulate.answer import Answer, compose
from gateway.simulate.chunks import Head, frames, whole
from gateway.simulate.config import SimulatedModel
from gateway.simulate.reply import DONE, Received
from gateway.simulate.wire import ChatRequest, read

HEAD = Head(id="chatcmpl-1", created=1, model="m")
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}}}}


def turn(tokens: int = 10, **fields: Any) -> tuple[ChatRequest, Answer]:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **fields}
    request = read(Received(body=json.dumps(body).encode()))
    return request, compose(request, SimulatedModel(), tokens, Random(1))


def streamed(request: ChatRequest, answer: Answer, size: int = 4) -> list[dict[str, Any]]:
    events = [frame.event for frame in frames(HEAD, answer, request, size)]
    assert events[-1] == DONE
    assert all(event.startswith(b"data: ") and event.endswith(b"\n\n") for event in events)
    return [json.loads(event[6:]) for event in events[:-1]]


@given(st.integers(1, 200), st.integers(1, 50), st.integers(1, 3))
def test_a_streams_deltas_add_up_to_the_whole_answer(tokens: int, size: int, n: int):
    request, answer = turn(tokens, n=n)
    said = [""] * n
    for chunk in streamed(request, answer, size):
        choice = chunk["choices"][0]
        said[choice["index"]] += choice["delta"].get("content") or ""

    assert said == [choice["message"]["content"] for choice in json.loads(whole(HEAD, answer, request))["choices"]]


def test_a_stream_begins_with_the_role_and_ends_with_the_reason():
    first, *_, last = streamed(*turn())

    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert last["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert "usage" not in first
    assert "usage" not in last


def test_usage_comes_last_and_only_when_asked_for():
    request, answer = turn(stream=True, stream_options={"include_usage": True})

    *before, last = streamed(request, answer)

    assert all(chunk["usage"] is None and chunk["choices"] for chunk in before)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 10


def test_a_call_is_streamed_by_name_first_and_then_by_its_arguments():
    request, answer = turn(tools=[TOOL])
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed(request, answer, 1)]

    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]

    assert deltas[0]["content"] is None
    assert calls[0]["function"] == {"name": "f", "arguments": ""}
    assert calls[0]["id"]
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"a": 3}
    assert len(calls) == 1 + answer.usage.completion_tokens


def test_a_whole_call_has_its_arguments_as_text():
    request, answer = turn(tools=[TOOL])

    message = json.loads(whole(HEAD, answer, request))["choices"][0]["message"]

    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":3}'}


def test_logprobs_are_given_for_every_token_when_asked_for():
    request, answer = turn(logprobs=True, top_logprobs=1)

    message = json.loads(whole(HEAD, answer, request))["choices"][0]
    chunks = streamed(request, answer)

    tokens = [token["token"] for token in message["logprobs"]["content"]]
    assert "".join(tokens) == message["message"]["content"]
    assert message["logprobs"]["content"][0]["top_logprobs"]
    assert [t["token"] for c in chunks for t in (c["choices"][0]["logprobs"] or {"content": []})["content"]] == tokens


def test_frames_tell_how_many_tokens_are_out():
    request, answer = turn(10)

    counted = [(frame.tokens_before, frame.tokens) for frame in frames(HEAD, answer, request, 4)]

    assert counted == [(0, 0), (0, 4), (4, 8), (8, 10), (10, 10), (10, 10)]
