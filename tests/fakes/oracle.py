"""Questions that carry their own answer: whoever knows a question's id can tell whether its answer is whole.

The upstream here answers them, streamed and whole, and keeps what it got and what it delivered. The callers stand in
`oracle_client.py`, the comparison with the lake in `books.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tests.fakes.peer import Peer, head
from tests.fakes.upstream import CHUNKED, chunk

DONE = b"data: [DONE]\n\n"
_LONGEST_PAUSE_MS = 40
_SLOW_ONE_IN = 12
_SLOW_S = 0.5


def question(uid: str) -> str:
    """Return what is asked."""
    return f"Who is {uid}? {sha256(uid.encode()).hexdigest()}"


def pieces(uid: str) -> list[str]:
    """Return the answer, in the pieces in which it is streamed."""
    count = 2 + int(sha256(uid.encode()).hexdigest()[:4], 16) % 8
    return [sha256(f"{uid} {number}".encode()).hexdigest()[:16] + " " for number in range(count)]


def answer_id(uid: str) -> str:
    """Return the id that the upstream gives its answer."""
    return f"chatcmpl-{uid}"


def usage(uid: str) -> dict[str, int]:
    """Return the tokens that the upstream bills."""
    said, asked = len(pieces(uid)), len(question(uid))
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def pause_s(uid: str) -> float:
    """Return how long the answer takes: some milliseconds, now and then half a second, for what meets its middle."""
    drawn = int(sha256(uid.encode()).hexdigest()[-8:], 16)
    return drawn % _LONGEST_PAUSE_MS / 1000 + (0.0 if drawn // _LONGEST_PAUSE_MS % _SLOW_ONE_IN else _SLOW_S)


@dataclass(kw_only=True)
class OracleUpstream:
    """What an upstream got and gave, by the questions' ids; `script` is what it does with each connection."""

    got: Counter[str] = field(default_factory=Counter[str])
    delivered: set[str] = field(default_factory=set[str])
    spoiled: list[str] = field(default_factory=list[str])
    """Ids whose question came as it was not asked."""

    async def script(self, peer: Peer) -> None:
        while True:
            asked = json.loads((await peer.read()).body)
            peer.requests.clear()
            uid = asked["metadata"]["oracle"]
            self.got[uid] += 1
            if asked["messages"][0]["content"] != question(uid):
                self.spoiled.append(uid)
            await (self._stream if asked.get("stream") else self._whole)(peer, uid, asked)
            self.delivered.add(uid)

    async def _whole(self, peer: Peer, uid: str, asked: dict[str, Any]) -> None:
        await asyncio.sleep(pause_s(uid))
        message = {"role": "assistant", "content": "".join(pieces(uid))}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        fields = {"id": answer_id(uid), "object": "chat.completion", "model": asked["model"]}
        body = json.dumps({**fields, "choices": [choice], "usage": usage(uid)}).encode()
        await peer.answer(body, b"content-type: application/json")

    async def _stream(self, peer: Peer, uid: str, asked: dict[str, Any]) -> None:
        fields = {"id": answer_id(uid), "object": "chat.completion.chunk", "model": asked["model"]}
        deltas: list[dict[str, Any]] = [{"delta": {"content": piece}, "finish_reason": None} for piece in pieces(uid)]
        chunks = [{**fields, "choices": [{"index": 0, **said}]} for said in (*deltas, _LAST)]
        if asked.get("stream_options", {}).get("include_usage"):
            chunks.append({**fields, "choices": [], "usage": usage(uid)})
        events = [f"data: {json.dumps(one)}\n\n".encode() for one in chunks]
        await peer.send(head(b"content-type: text/event-stream", CHUNKED))
        await peer.send(*map(chunk, events), pause_s=pause_s(uid) / len(events))
        await peer.send(chunk(DONE) + chunk(b""))


_LAST: dict[str, Any] = {"delta": {}, "finish_reason": "stop"}
