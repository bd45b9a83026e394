"""`POST /v1/responses`: items in, items out, and streams whose events have types, numbers and no `[DONE]`."""

from __future__ import annotations

from typing import Any

from tests.fakes.reciting import Answer
from tests.transparency.shape import Shape, answering, asking, event, streaming
from tests.transparency.shapes.chat_requests import PIXEL
from tests.transparency.shapes.errors import told

_USED = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 32},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 123,
}
_TEXT = {"type": "output_text", "text": "Good morning.", "annotations": [], "logprobs": []}
_MESSAGE = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [_TEXT]}
_CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": '{"place":"Ulm"}'}
_THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA\u2026"}
_ERROR = {"code": "server_error", "message": "The model failed."}


def response(status: str = "completed", *output: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a response with these items."""
    kept = {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "error": None, "model": "m"}
    return {**kept, "incomplete_details": None, "output": [*output], "usage": _USED, "metadata": {}, **more}


def _numbered(*events: tuple[str, dict[str, Any]]) -> list[bytes]:
    return [
        event({"type": kind, "sequence_number": at, **content}, kind=kind) for at, (kind, content) in enumerate(events)
    ]


def _told(*pieces: tuple[str, dict[str, Any]], end: str = "completed", **about: Any) -> Answer:
    begun = response("in_progress", usage=None)
    ended = response(end, _MESSAGE, **about)
    events = [
        ("created", {"response": begun}),
        ("in_progress", {"response": begun}),
        *pieces,
        (end, {"response": ended}),
    ]
    return streaming(*_numbered(*[(f"response.{kind}", content) for kind, content in events]))


_WORDS = (
    ("output_item.added", {"output_index": 0, "item": {**_MESSAGE, "status": "in_progress", "content": []}}),
    ("content_part.added", {"item_id": "msg_1", "output_index": 0, "content_index": 0, "part": {**_TEXT, "text": ""}}),
    (
        "output_text.delta",
        {"item_id": "msg_1", "content_index": 0, "delta": "Good", "logprobs": [], "obfuscation": "k"},
    ),
    ("output_text.delta", {"item_id": "msg_1", "content_index": 0, "delta": " morning \U0001f642", "logprobs": []}),
    ("output_text.done", {"item_id": "msg_1", "content_index": 0, "text": "Good morning."}),
    ("output_item.done", {"output_index": 0, "item": _MESSAGE}),
)
_ARGUMENTS = (
    ("reasoning_summary_text.delta", {"item_id": "rs_1", "summary_index": 0, "delta": "The place"}),
    ("function_call_arguments.delta", {"item_id": "fc_1", "delta": '{"place":'}),
    ("function_call_arguments.delta", {"item_id": "fc_1", "delta": '"Ulm"}'}),
    ("function_call_arguments.done", {"item_id": "fc_1", "arguments": '{"place":"Ulm"}'}),
)
_WHOLE = answering(response("completed", _MESSAGE))
_STREAMED = _told(*_WORDS)


def asked(name: str, whole: Answer | None = _WHOLE, streamed: Answer | None = _STREAMED, **fields: Any) -> Shape:
    """Return a shape by its request's fields."""
    body = asking(**{"input": "Say good morning.", **fields})
    return Shape(name=f"responses-{name}", path="/v1/responses", body=body, whole=whole, streamed=streamed)


_FUNCTION = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": True}
_FORMAT = {"type": "json_schema", "name": "report", "schema": {"type": "object"}, "strict": True}

RESPONSES = (
    asked("plain"),
    asked(
        "items",
        input=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}]},
            {"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]},
            {"type": "item_reference", "id": "msg_0"},
            _THOUGHT,
            _CALL,
            {"type": "function_call_output", "call_id": "call_1", "output": '{"degrees":-0.0}'},
        ],
    ),
    asked(
        "tools",
        answering(response("completed", _THOUGHT, _CALL)),
        _told(*_ARGUMENTS),
        tools=[
            _FUNCTION,
            {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}},
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {"type": "mcp", "server_label": "x", "server_url": "https://mcp.example", "require_approval": "never"},
        ],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]},
        parallel_tool_calls=False,
        max_tool_calls=3,
    ),
    asked("continued", previous_response_id="resp_0", store=True),
    asked("conversation", conversation={"id": "conv_1"}),
    asked("reasoning", reasoning={"effort": "high", "summary": "auto"}, include=["reasoning.encrypted_content"]),
    asked("format", text={"format": _FORMAT, "verbosity": "low"}, temperature=1.10, top_logprobs=5),
    asked("prompt", prompt={"id": "pmpt_1", "version": "2", "variables": {"name": "Ann"}}, instructions=None),
    asked("background", answering(response("queued", usage=None)), None, background=True, truncation="auto"),
    asked(
        "stored-not",
        store=False,
        safety_identifier="0d5f",
        prompt_cache_key="k",
        service_tier="flex",
        metadata={"a": "b"},
    ),
    asked("obfuscation", None, stream_options={"include_obfuscation": False}),
    asked(
        "incomplete",
        answering(response("incomplete", _MESSAGE, incomplete_details={"reason": "max_output_tokens"})),
        _told(*_WORDS[:3], end="incomplete", incomplete_details={"reason": "content_filter"}),
        max_output_tokens=16,
    ),
    asked("failed", answering(response("failed", error=_ERROR)), _told(*_WORDS[:3], end="failed", error=_ERROR)),
    asked(
        "error-in-the-middle",
        None,
        streaming(
            *_numbered(
                ("response.created", {"response": response("in_progress")}),
                ("response.output_text.delta", {"delta": "Go"}),
                ("error", {"code": "server_error", "message": "The model failed.", "param": None}),
            )
        ),
    ),
    asked("more-behind-the-end", None, streaming(_STREAMED.body, b": bye\n\n", b'event: x\ndata: {"type":"x"}\n\n')),
    asked("done-behind-the-end", None, streaming(_STREAMED.body, b"data: [DONE]\n\n")),
    asked("crlf", None, streaming(_STREAMED.body.replace(b"\n", b"\r\n"))),
    asked("empty-line-missing", None, streaming(_STREAMED.body[:-1])),
    asked("later-events", None, _told(("image_edit.hint", {"x": 1}), *_WORDS, ("mcp_call.completed", {}))),
    asked("refused", *[told(b"400 Bad Request", "invalid_request_error", "unsupported_value", param="input")] * 2),
    asked("limited", *[told(b"429 Too Many Requests", "tokens", "rate_limit_exceeded", b"retry-after-ms: 20")] * 2),
    asked("overloaded", *[told(b"503 Service Unavailable", "server_error", None, b"retry-after: 1")] * 2),
    Shape(
        name="responses-input-tokens",
        path="/v1/responses/input_tokens",
        body=asking(input="Hi"),
        whole=answering({"object": "response.input_tokens", "input_tokens": 11}),
    ),
    Shape(
        name="responses-compact",
        path="/v1/responses/compact",
        body=asking(input=[_THOUGHT]),
        whole=answering({"id": "resp_2", "object": "response.compaction", "output": [_THOUGHT], "usage": _USED}),
    ),
)
