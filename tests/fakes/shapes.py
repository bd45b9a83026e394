"""An upstream that answers every endpoint in the shape that OpenAI documents, whole and as events, with fixed bytes.

It keeps the responses that it made: one that goes on from another's is refused, as OpenAI refuses it.
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.peer import Peer, Request, head
from tests.fakes.upstream import CHUNKED, chunk

JSON, EVENTS, SOUND = "application/json", "text/event-stream; charset=utf-8", "audio/mpeg"
_CUT_BYTES = 37
"""Pieces of this size cut events and words anywhere."""
_TOKENS = {"input_tokens": 1_000, "output_tokens": 500, "total_tokens": 1_500}
_COUNTED = {"prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500}


def _data(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\n".encode() + _data(type=kind, **fields)


def _text(text: str, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": reason, "logprobs": None}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice], **fields}


def _response(status: str, name: str, **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": "Hellö, you", "annotations": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [part]}
    plain = {"id": f"resp_{name}", "object": "response", "created_at": 1, "model": "m", "status": status}
    loose = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None}
    return {**plain, **loose, "output": [message] if status == "completed" else [], "usage": None, **fields}


def _responses(name: str) -> bytes:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    delta = {**place, "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    return b"".join(
        (
            _event("response.created", sequence_number=0, response=_response("in_progress", name)),
            _event("response.output_item.added", sequence_number=1, output_index=0, item=item),
            _event("response.content_part.added", sequence_number=2, part=part, **place),
            _event("response.output_text.delta", sequence_number=3, delta="Hellö", **delta),
            _event("response.output_text.delta", sequence_number=4, delta=", you", **delta),
            _event("response.completed", sequence_number=5, response=_response("completed", name, usage=_TOKENS)),
        )
    )


_EMBEDDED = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}
_IMAGE = {"created_at": 1, "size": "1024x1024", "quality": "low", "background": "opaque", "output_format": "png"}
WHOLE: dict[str, Any] = {
    "/v1/completions": {**_text(" there", "stop"), "usage": _COUNTED},
    "/v1/embeddings": {
        "object": "list",
        "model": "m",
        "data": [_EMBEDDED],
        "usage": {"prompt_tokens": 1_000, "total_tokens": 1_000},
    },
    "/v1/moderations": {"id": "modr-1", "model": "m", "results": [{"flagged": False, "categories": {}}]},
    "/v1/images/generations": {
        "created": 1,
        "data": [{"b64_json": "aW1hZ2U="}],
        "usage": {**_TOKENS, "input_tokens_details": {"text_tokens": 1_000, "image_tokens": 0}},
    },
    "/v1/rerank": {"model": "m", "results": [{"index": 0, "relevance_score": 0.5}], "usage": {"total_tokens": 7}},
    "/v1/poems": {"poem": "roses", "usage": _COUNTED},
}
STREAMED: dict[str, bytes] = {
    "/v1/completions": b"".join(
        (
            *(_data(**_text(" there")), _data(**_text("", "stop"))),
            *(_data(**{**_text(""), "choices": [], "usage": _COUNTED}), b"data: [DONE]\n\n"),
        )
    ),
    "/v1/images/generations": _event("image_generation.partial_image", b64_json="aW1n", partial_image_index=0, **_IMAGE)
    + _event("image_generation.completed", b64_json="aW1hZ2U=", usage=_TOKENS, **_IMAGE),
    "/v1/audio/speech": _data(type="speech.audio.delta", audio="c291bmQ=")
    + _data(type="speech.audio.done", usage=_TOKENS),
    "/v1/poems": _data(type="line", text="roses") + _data(type="over"),
}
PLAYED = bytes(range(256)) * 20


def answer(path: str, body: dict[str, Any], name: str) -> tuple[str, bytes]:
    """Return content type and body of the answer that the upstream `name` gives; 404 is told by an empty type."""
    if path == "/v1/responses":
        if (kept := body.get("previous_response_id")) not in {None, f"resp_{name}"}:
            error = {"message": f"Previous response with id '{kept}' not found.", "type": "invalid_request_error"}
            told = {**error, "param": "previous_response_id", "code": "previous_response_not_found"}
            return "", json.dumps({"error": told}).encode()
        if body.get("stream"):
            return EVENTS, _responses(name)
        return JSON, json.dumps(_response("completed", name, usage=_TOKENS)).encode()
    if body.get("stream") or body.get("stream_format") == "sse":
        return EVENTS, STREAMED[path]
    if path == "/v1/audio/speech":
        return SOUND, PLAYED
    return JSON, json.dumps(WHOLE[path], indent=1).encode()


class Shapes:
    """One such upstream, to be served as a script; `requests` is what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests: list[tuple[str, bytes]] = []

    async def script(self, peer: Peer) -> None:
        """Answer every request of a connection."""
        while True:
            request = await peer.read()
            path = request.head.split(b" ")[1].decode()
            self.requests.append((path, request.body))
            await self._answer(peer, request, path)

    async def _answer(self, peer: Peer, request: Request, path: str) -> None:
        kind, body = answer(path, json.loads(request.body), self.name)
        if not kind:
            await peer.answer(body, b"content-type: application/json", status=b"400 Bad Request")
        elif kind == JSON:
            await peer.answer(body, b"content-type: application/json")
        else:
            await peer.send(head(CHUNKED, b"content-type: " + kind.encode()))
            await peer.send(*(chunk(body[at : at + _CUT_BYTES]) for at in range(0, len(body), _CUT_BYTES)))
            await peer.send(chunk(b""))
