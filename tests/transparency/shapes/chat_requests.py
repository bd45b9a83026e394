"""What clients ask of `POST /v1/chat/completions`; the answers here are plain ones."""

from __future__ import annotations

import json
from typing import Any

from tests.transparency.shape import Shape, answering, asking, event, streaming

USAGE = {"prompt_tokens": 19, "completion_tokens": 3, "total_tokens": 22}
DONE = b"data: [DONE]\n\n"


def completion(message: dict[str, Any], *, finish_reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return the content of a whole answer with one choice."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "logprobs": None, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    """Return one event of a streamed answer."""
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "choices": [*choices], **more})


def delta(content: dict[str, Any], finish_reason: str | None = None, index: int = 0) -> dict[str, Any]:
    """Return one choice of an event."""
    return {"index": index, "delta": content, "logprobs": None, "finish_reason": finish_reason}


USAGE_CHUNK = chunk(usage=USAGE)
FIRST = chunk(delta({"role": "assistant", "content": "", "refusal": None}))
LAST = chunk(delta({}, "stop"))
WHOLE = answering(completion({"content": "Good morning."}, usage=USAGE, system_fingerprint="fp_1"))
STREAMED = streaming(
    FIRST,
    chunk(delta({"content": "Good"})),
    chunk(delta({"content": " morning."})),
    LAST,
    DONE,
    usage=USAGE_CHUNK,
)
SAYS = [{"role": "user", "content": "Say good morning."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place, today.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
        "strict": True,
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def chat(name: str, **fields: Any) -> Shape:
    """Return a shape whose request has these fields, beside the usual messages, and whose answers are plain."""
    return raw(name, asking(**{"messages": SAYS, **fields}))


def raw(name: str, body: bytes) -> Shape:
    """Return a shape by its request's bytes."""
    return Shape(name=f"chat-{name}", body=body, whole=WHOLE, streamed=STREAMED)


def _said(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [*parts]}]


_CALLED = [
    {"role": "user", "content": "How is the weather in Ulm, and how late is it?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Ulm"}'}},
            {"id": "call_2", "type": "function", "function": {"name": "clock", "arguments": ""}},
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": '{"sky":"grey","degrees":-0.0}'},
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "12:00"}]},
]
_REPORT = {
    "type": "json_schema",
    "json_schema": {
        "name": "report",
        "strict": True,
        "schema": {
            "type": "object",
            "$defs": {"line": {"type": "array", "items": {"$ref": "#/$defs/line"}}},
            "properties": {"lines": {"$ref": "#/$defs/line"}, "model": {"const": "not the field"}},
            "additionalProperties": False,
        },
    },
}
_SAMPLING = {"temperature": 0.0, "top_p": 1.0, "presence_penalty": -2.0, "frequency_penalty": 2.0, "seed": -(2**63)}
_DEEP = json.loads("[" * 60 + '{"x":' * 60 + "null" + "}" * 60 + "]" * 60)

REQUESTS = (
    chat("plain"),
    chat("sampling", **_SAMPLING, stop=["\n", "END", "\u2028"], max_tokens=16, logit_bias={"50256": -100, "11": 5}),
    chat("tools", tools=[WEATHER], tool_choice="auto"),
    chat("parallel-tools", tools=[WEATHER, CLOCK], parallel_tool_calls=True, tool_choice="required"),
    chat("one-tool-alone", tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "weather"}}),
    chat("tool-results", messages=_CALLED, tools=[WEATHER, CLOCK]),
    chat("custom-tool", tools=[{"type": "custom", "custom": {"name": "sh", "format": {"type": "text"}}}]),
    chat("functions", functions=[WEATHER["function"]], function_call={"name": "weather"}),
    chat("json-object", response_format={"type": "json_object"}),
    chat("json-schema", response_format=_REPORT),
    chat(
        "image-by-address",
        messages=_said(
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://images.example/a.png?x=1&y=2#z", "detail": "low"}},
        ),
    ),
    chat(
        "images-inline",
        messages=_said(*[{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}] * 3),
    ),
    chat(
        "audio-in",
        messages=_said({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "pcm16"},
    ),
    chat(
        "audio-before",
        messages=[*SAYS, {"role": "assistant", "audio": {"id": "audio_1"}}, {"role": "user", "content": "Again."}],
    ),
    chat(
        "files",
        messages=_said(
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "file", "file": {"filename": 'a "b".pdf', "file_data": "data:application/pdf;base64,JVBERi0="}},
        ),
    ),
    chat("logprobs", logprobs=True, top_logprobs=20),
    chat("several-choices", n=3),
    chat("reasoning", reasoning_effort="minimal", verbosity="low", max_completion_tokens=4096),
    chat("reasoning-of-others", reasoning={"effort": "high", "exclude": False}, chat_template_kwargs={"think": True}),
    chat("prediction", prediction={"type": "content", "content": [{"type": "text", "text": "Good evening."}]}),
    chat("service-tier", service_tier="flex", prompt_cache_key="k", prompt_cache_retention="24h"),
    chat("stored", store=True, metadata={"user_id": "u-7", "case": "1", "empty": "", "\u00fc": "\u00df"}),
    chat("user", user="customer-12", safety_identifier="0d5f"),
    chat("web-search", web_search_options={"user_location": {"type": "approximate", "approximate": {"city": "Ulm"}}}),
    chat(
        "developer", messages=[{"role": "developer", "content": "Be brief."}, {"role": "system", "content": ""}, *SAYS]
    ),
    chat("named", messages=[{"role": "user", "name": "ann-1", "content": "Hi"}, {"role": "assistant", "prefix": True}]),
    chat("long-talk", messages=[{"role": "user", "content": f"line {at}"} for at in range(2000)]),
    chat("long-prompt", messages=[{"role": "user", "content": "na\u00efve \U0001f642 " * (1 << 17)}]),
    chat("empty-values", stop=None, tools=[], metadata={}, user="", logit_bias=None),
    chat("nested", extension=_DEEP),
    chat("many-fields", **{f"x_{at}": at for at in range(900)}),
    chat(
        "likely-names", models=["a"], model_id="b", Stream_Format="x", streams=True, user_id="c", error=None, usage={}
    ),
)
