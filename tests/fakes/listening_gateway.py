"""A stand-in for a gateway: answers completions, good and weak by turns, and takes feedback, which it keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.fakes.peer import Peer, Request


@dataclass
class Books:
    """What was answered (request id: whether a user will like it) and what was said of it, in the order of arrival."""

    good: dict[str, bool] = field(default_factory=dict)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    feedback_when_answered: int = 0
    """Messages that had come when the last completion was asked for."""


def listening_gateway(
    books: Books, *, feedback_status: bytes = b"202 Accepted"
) -> Callable[..., Coroutine[Any, Any, None]]:
    """Return the script of such a gateway."""

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.read()
            if request.target.endswith("/feedback"):
                books.feedback.append(json.loads(request.body))
                await peer.answer(b"{}", status=feedback_status)
            elif request.target.endswith("/models"):
                await peer.answer(b'{"object":"list","data":[]}')
            else:
                await _complete(peer, request, books)

    return script


async def _complete(peer: Peer, request: Request, books: Books) -> None:
    books.feedback_when_answered = len(books.feedback)
    number = len(books.good)
    request_id = str(UUID(int=number))
    good = books.good[request_id] = number % 2 == 0
    named = (b"x-request-id: " + request_id.encode(), b"x-turnout-arm: base")
    text = f"Simulated {'answer' if good else 'guess'}: a word"
    if not json.loads(request.body).get("stream"):
        answer = {"choices": [{"message": {"role": "assistant", "content": text}}]}
        await peer.answer(json.dumps(answer).encode(), b"content-type: application/json", *named)
        return
    pieces = [{"choices": [{"delta": {"content": piece}}]} for piece in (text[:5], text[5:12], text[12:])]
    events = [f"data: {json.dumps(piece)}\n\n" for piece in pieces]
    await peer.answer("".join([*events, "data: [DONE]\n\n"]).encode(), b"content-type: text/event-stream", *named)
