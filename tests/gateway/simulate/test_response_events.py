from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulate.response_events import Item, failed, frames

RESPONSE: dict[str, Any] = {"id": "resp_1", "status": "completed", "output": [], "usage": {"input_tokens": 1}}


def message(tokens: list[str]) -> Item:
    text = {"type": "output_text", "text": "".join(tokens), "annotations": [], "logprobs": []}
    return Item(whole={"id": "msg_1", "type": "message", "status": "completed", "content": [text]}, tokens=tokens)


@given(st.integers(0, 100), st.integers(1, 40))
def test_every_token_is_said_once_and_counted(count: int, size: int):
    tokens = [f" {number}" for number in range(count)]
    made = frames(RESPONSE, [message(tokens)], size)
    said = [json.loads(frame.event.partition(b"data: ")[2]) for frame in made]

    assert "".join(one["delta"] for one in said if one["type"] == "response.output_text.delta") == "".join(tokens)
    assert (made[0].tokens_before, made[-1].tokens) == (0, count)
    assert [one["sequence_number"] for one in said] == list(range(len(said)))
    assert all(
        frame.event.startswith(f"event: {one['type']}\n".encode()) for frame, one in zip(made, said, strict=True)
    )


def test_a_failed_response_says_why_and_has_no_output():
    said = json.loads(failed(RESPONSE, "server_error", "no").partition(b"data: ")[2])

    assert said["type"] == "response.failed"
    assert said["response"]["status"] == "failed"
    assert said["response"]["error"] == {"code": "server_error", "message": "no"}
