"""An upstream that repeats whatever it is sent, in every kind of answer, with headers that nobody should see.

The last word of a request's prompt says how it answers; see `KINDS`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping

from tests.fakes.peer import Peer, Request, head
from tests.fakes.upstream import CHUNKED, chunk

_JSON = b"content-type: application/json"
LEAKY = (
    b"set-cookie: session=1",
    b"server: parrot/1",
    b"x-internal: secret",
    b"location: http://127.0.0.1:9/elsewhere",
    b"x-turnout-arm: forged",
    b"x-request-id: up-1",
    b"x-ratelimit-remaining-requests: 9",
    b"openai-version: \xc3\xa4\xff",
)
"""Sent with every answer; of these only the last three lead to headers of the caller."""


def _said(request: Request) -> str:
    return request.head.decode("latin-1") + request.body.decode("utf-8", "replace")


async def _whole(peer: Peer, request: Request) -> None:
    message = {"role": "assistant", "content": _said(request)}
    answer = {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    await peer.answer(json.dumps(answer).encode(), _JSON, *LEAKY)


async def _streamed(peer: Peer, request: Request) -> None:
    delta = {"id": "1", "choices": [{"index": 0, "delta": {"content": _said(request)}, "finish_reason": None}]}
    await peer.send(head(CHUNKED, b"content-type: text/event-stream", *LEAKY))
    await peer.send(chunk(b"data: " + json.dumps(delta).encode() + b"\n\n"))
    await peer.send(chunk(b"data: [DONE]\n\n"), chunk(b""))


def _refusing(status: bytes) -> Callable[[Peer, Request], Awaitable[None]]:
    async def answer(peer: Peer, request: Request) -> None:
        error = {"error": {"message": _said(request), "type": "x", "param": None, "code": "x"}}
        await peer.answer(json.dumps(error).encode(), _JSON, *LEAKY, status=status)

    return answer


async def _as_page(peer: Peer, request: Request) -> None:
    await peer.answer(f"<h1>{_said(request)}</h1>".encode(), b"content-type: text/html", *LEAKY)


async def _broken(peer: Peer, request: Request) -> None:
    await peer.send(head(CHUNKED, _JSON, *LEAKY) + b"ZZ" + request.body + b"\r\n")
    peer.close()


async def _not_http(peer: Peer, request: Request) -> None:
    await peer.send(request.body + b"\r\n\r\n")
    peer.close()


async def _cut(peer: Peer, request: Request) -> None:
    delta = {"id": "1", "choices": [{"index": 0, "delta": {"content": _said(request)}, "finish_reason": None}]}
    await peer.send(head(CHUNKED, b"content-type: text/event-stream", *LEAKY))
    # A reset takes what was not read yet with it.
    await peer.send(chunk(b"data: " + json.dumps(delta).encode() + b"\n\n"), pause_s=0.3)
    peer.reset()


KINDS: Mapping[str, Callable[[Peer, Request], Awaitable[None]]] = {
    "whole": _whole,
    "streamed": _streamed,
    "failing": _refusing(b"500 " + b"Oops"),
    "unauthorized": _refusing(b"401 Unauthorized"),
    "bad": _refusing(b"400 Bad Request"),
    "moved": _refusing(b"307 Temporary Redirect"),
    "page": _as_page,
    "broken": _broken,
    "not-http": _not_http,
    "cut": _cut,
}


async def repeating(peer: Peer) -> None:
    """Answer every request of a connection as its prompt wants."""
    while True:
        request = await peer.read()
        prompt: str = json.loads(request.body)["messages"][0]["content"]
        await KINDS[prompt.rsplit(maxsplit=1)[-1]](peer, request)
