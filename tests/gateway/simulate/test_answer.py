from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.simulate.answer import Answer, compose, written
from gateway.simulate.config import SimulatedModel
from gateway.simulate.reply import Received
from gateway.simulate.wire import read

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
STOCK = {"type": "function", "function": {"name": "stock"}}


def composed(model: SimulatedModel | None = None, *, tokens: int = 20, **fields: Any) -> Answer:
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **fields}
    return compose(read(Received(body=json.dumps(body).encode())), model or SimulatedModel(), tokens, Random(1))


def said(answer: Answer) -> str:
    return "".join(answer.choices[0].tokens)


@given(st.integers(1, 2000), st.none() | st.integers(1, 2000), st.integers(0, 300), st.integers(1, 4))
def test_what_is_billed_is_what_is_written_and_never_above_the_limit(
    tokens: int, most: int | None, reasoning: int, n: int
):
    answer = composed(SimulatedModel(reasoning_tokens=reasoning), tokens=tokens, max_tokens=most, n=n)

    usage = answer.usage
    assert len(answer.choices) == n
    assert (
        usage.completion_tokens == sum(map(written, answer.choices)) + usage.completion_tokens_details.reasoning_tokens
    )
    assert usage.completion_tokens <= n * min(tokens, most or tokens)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert {choice.finish for choice in answer.choices} == {"length" if most is not None and most < tokens else "stop"}


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_request_fixes_its_counts(given_in: int, given_out: int):
    fixed = {"simulate_input_tokens": str(given_in), "simulate_output_tokens": str(given_out)}

    answer = composed(metadata=fixed, max_tokens=max(given_out, 1))

    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (given_in, given_out)
    assert written(answer.choices[0]) == given_out
    assert answer.choices[0].finish == "stop"


def test_a_models_shares_show_in_the_details():
    model = SimulatedModel(cached_share=0.25, reasoning_tokens=5, input_audio_tokens=3, output_audio_tokens=90)

    usage = composed(model, metadata={"simulate_input_tokens": "100"}).usage

    assert usage.prompt_tokens_details.cached_tokens == 25
    assert usage.prompt_tokens_details.audio_tokens == 3
    assert usage.completion_tokens_details.reasoning_tokens == 5
    assert usage.completion_tokens_details.audio_tokens == 15


def test_a_stop_sequence_ends_the_answer_before_itself():
    whole = said(composed(tokens=200))
    word = whole.split()[30]

    answer = composed(tokens=200, stop=["never said", word])

    assert said(answer) == whole[: whole.index(word)]
    assert answer.choices[0].finish == "stop"
    assert answer.usage.completion_tokens == len(answer.choices[0].tokens)


def test_a_stop_sequence_that_does_not_occur_changes_nothing():
    assert composed(stop="never said", max_tokens=10).choices[0].finish == "length"


@given(st.integers(1, 300))
def test_json_mode_answers_an_object(tokens: int):
    answer = composed(tokens=tokens, response_format={"type": "json_object"})

    assert isinstance(json.loads(said(answer)), dict)
    assert answer.usage.completion_tokens == tokens


def test_a_schema_is_answered_by_a_value_that_it_accepts():
    schema = {"type": "object", "properties": {"grade": {"enum": ["good", "bad"]}}, "required": ["grade"]}

    answer = composed(response_format={"type": "json_schema", "json_schema": {"name": "g", "schema": schema}})

    assert json.loads(said(answer))["grade"] in {"good", "bad"}
    assert answer.usage.completion_tokens == -(-len(said(answer)) // 4)


def test_a_schema_answer_is_cut_at_the_limit():
    schema = {"type": "object", "properties": {"text": {"type": "string", "minLength": 100}}}

    answer = composed(
        max_tokens=3, response_format={"type": "json_schema", "json_schema": {"name": "t", "schema": schema}}
    )

    assert len(said(answer)) == 12
    assert answer.choices[0].finish == "length"


def called(**fields: Any) -> list[str]:
    return [call.name for call in composed(tools=[WEATHER, STOCK], **fields).choices[0].calls]


def test_tools_are_called_as_the_choice_says():
    after = [{"role": "user", "content": "?"}, {"role": "tool", "content": "3"}]

    assert called() == ["weather"]
    assert called(tool_choice="auto", parallel_tool_calls=True) == ["weather", "stock"]
    assert called(tool_choice={"type": "function", "function": {"name": "stock"}}) == ["stock"]
    assert called(tool_choice="none") == []
    assert called(messages=after) == []
    assert called(messages=after, tool_choice="required") == ["weather"]


def test_a_calls_arguments_follow_the_functions_schema():
    answer = composed(tools=[WEATHER])

    call = answer.choices[0].calls[0]
    assert list(json.loads("".join(call.arguments))) == ["city"]
    assert answer.choices[0].finish == "tool_calls"
    assert answer.usage.completion_tokens == len(call.arguments)


def test_a_call_is_cut_at_the_limit():
    answer = composed(tools=[WEATHER], max_tokens=2)

    assert len(answer.choices[0].calls[0].arguments) == 2
    assert answer.choices[0].finish == "length"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "no"}}}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"function": "no"}}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "?"}}}},
            "response_format",
        ),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "?"}}}]}, "tools"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_field(fields: dict[str, Any], param: str):
    with pytest.raises(BadRequestError) as caught:
        composed(**fields)

    assert caught.value.param == param


def test_json_mode_takes_the_names_that_the_caller_quotes_as_keys():
    asked = [{"role": "user", "content": "A joke as JSON with 'setup' and 'punchline' keys, and no 'other words'."}]

    answer = composed(tokens=21, messages=asked, response_format={"type": "json_object"})

    assert list(json.loads(said(answer))) == ["setup", "punchline"]
    assert len(answer.choices[0].tokens) == 21


def test_an_answer_too_short_for_the_quoted_names_is_an_empty_object():
    asked = [{"role": "user", "content": "JSON with 'a', 'b' and 'c'"}]

    assert said(composed(tokens=2, messages=asked, response_format={"type": "json_object"})) == "{}"


def test_a_call_takes_up_what_the_caller_quotes():
    asked = [{"role": "user", "content": [{"type": "text", "text": 'What is it like in "Köln"?'}]}]

    [call] = composed(messages=asked, tools=[WEATHER]).choices[0].calls

    assert json.loads("".join(call.arguments)) == {"city": "Köln"}
