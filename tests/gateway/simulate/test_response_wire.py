from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.simulate.reply import Received
from gateway.simulate.response_wire import as_chat, read
from gateway.simulate.wire import last_message


def chat_of(before: list[dict[str, Any]] | None = None, **fields: Any):
    body = json.dumps({"model": "m", "input": "hello", **fields}).encode()
    return as_chat(read(Received(body=body)), before or [])


def test_a_question_is_the_same_in_both_apis():
    chat = chat_of(instructions="be brief", max_output_tokens=20, metadata={"simulate_id": "7"})

    assert json.loads(bytes(chat.messages)) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
    ]
    assert (chat.most_tokens, chat.mark) == (20, "7")


def test_an_output_of_a_function_is_a_tools_message():
    chat = chat_of(before=[{"role": "user", "content": "a"}], input=[{"type": "function_call_output", "output": "3"}])

    assert last_message(chat).role == "tool"


def test_a_schema_and_a_named_function_are_carried_over():
    tool = {"type": "function", "name": "f", "parameters": {}}
    form = {"type": "json_schema", "name": "offer", "schema": {"type": "object"}}
    chat = chat_of(
        tools=[tool, {"type": "web_search"}], tool_choice={"type": "function", "name": "f"}, text={"format": form}
    )

    assert chat.tool_choice == {"type": "function", "function": {"name": "f"}}
    assert [named.function.name for named in chat.tools or [] if named.function] == ["f"]
    assert chat.response_format is not None
    assert chat.response_format.type == "json_schema"


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes):
    with contextlib.suppress(BadRequestError):
        assert read(Received(body=body)).model
