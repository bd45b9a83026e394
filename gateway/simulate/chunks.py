"""An answer as bytes: one JSON object, or the server-sent events that OpenAI streams. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.simulate.answer import Answer, Call, Choice
from gateway.simulate.reply import DONE, Frame, encode
from gateway.simulate.wire import ChatRequest

FINGERPRINT = "fp_simulated"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What every chunk of an answer repeats; `created` is seconds since 1970 UTC."""

    id: str
    created: int
    model: str


def whole(head: Head, answer: Answer, request: ChatRequest) -> bytes:
    """Return the `chat.completion` object."""
    return encode(
        {
            "id": head.id,
            "object": "chat.completion",
            "created": head.created,
            "model": head.model,
            "choices": [
                {
                    "index": index,
                    "message": _message(choice),
                    "logprobs": _logprobs(choice.tokens, request) if request.logprobs else None,
                    "finish_reason": choice.finish,
                }
                for index, choice in enumerate(answer.choices)
            ],
            "usage": answer.usage,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }
    )


def frames(head: Head, answer: Answer, request: ChatRequest, tokens_per_chunk: int) -> list[Frame]:
    """Return the stream's events in order, `[DONE]` included; choices of one request are interleaved."""
    asked = bool(request.stream_options and request.stream_options.include_usage)
    start, end = _envelope(head, with_usage=asked)
    each = [
        _choice_frames(index, choice, request, tokens_per_chunk, (start, end))
        for index, choice in enumerate(answer.choices)
    ]
    made = (
        each[0] if len(each) == 1 else sorted((f for one in each for f in one), key=lambda frame: frame.tokens_before)
    )
    spoken = made[-1].tokens
    if asked:
        last = start[:-1] + b'],"usage":' + encode(answer.usage) + b"}\n\n"
        made.append(Frame(last, spoken, spoken))
    made.append(Frame(DONE, spoken, spoken))
    return made


def _envelope(head: Head, *, with_usage: bool) -> tuple[bytes, bytes]:
    fixed = encode(
        {
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }
    )
    return b"data: " + fixed[:-1] + b',"choices":[{', b'}],"usage":null}\n\n' if with_usage else b"}]}\n\n"


def _choice_frames(
    index: int, choice: Choice, request: ChatRequest, size: int, envelope: tuple[bytes, bytes]
) -> list[Frame]:
    start, end = envelope
    opening: dict[str, Any] = {"role": "assistant", "content": None if choice.calls else "", "refusal": None}
    place = b'"index":%d,"delta":' % index
    tail = b',"logprobs":null,"finish_reason":null'
    made = [Frame(start + place + encode(opening) + tail + end, 0, 0)]
    spoken = 0
    for at in range(0, len(choice.tokens), size):
        piece = choice.tokens[at : at + size]
        if request.logprobs:
            tail = b',"logprobs":' + encode(_logprobs(piece, request)) + b',"finish_reason":null'
        delta = b'{"content":' + encode("".join(piece)) + b"}"
        made.append(Frame(start + place + delta + tail + end, at, at + len(piece)))
        spoken = at + len(piece)
    for number, call in enumerate(choice.calls):
        for delta, count in _call_deltas(number, call, size):
            made.append(Frame(start + place + encode({"tool_calls": [delta]}) + tail + end, spoken, spoken + count))
            spoken += count
    finish = b'{},"logprobs":null,"finish_reason":' + encode(choice.finish)
    made.append(Frame(start + place + finish + end, spoken, spoken))
    return made


def _call_deltas(number: int, call: Call, size: int) -> list[tuple[dict[str, Any], int]]:
    opening = {
        "index": number,
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }
    pieces = [call.arguments[at : at + size] for at in range(0, len(call.arguments), size)]
    return [
        (opening, 0),
        *(({"index": number, "function": {"arguments": "".join(piece)}}, len(piece)) for piece in pieces),
    ]


def _message(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if choice.calls else "".join(choice.tokens),
        "refusal": None,
        "annotations": [],
    }
    if choice.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": "".join(call.arguments)}}
            for call in choice.calls
        ]
    return message


def _logprobs(tokens: list[str], request: ChatRequest) -> dict[str, Any]:
    """Say the same small uncertainty of every token; the only alternative ever named is the token itself."""
    content: list[dict[str, Any]] = []
    for token in tokens:
        one = {"token": token, "logprob": -0.1, "bytes": list(token.encode())}
        content.append({**one, "top_logprobs": [one] if request.top_logprobs else []})
    return {"content": content, "refusal": None}
