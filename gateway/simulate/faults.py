"""What a configuration lets go wrong, and how: errors in OpenAI's words, and answers that break on their way.

stall_head     nothing is answered until the caller leaves
stall_stream   the first half is answered, then nothing until the caller leaves
malformed      after the first half comes what is no JSON
early_error    an answer with status 200 that begins, and ends, with an error
cut            the first half, then the end: of a stream without its last event, of a body before its length
reset_head     the connection is reset instead of answered
reset_stream   the connection is reset after the first half
slow           every delay is multiplied by the model's `slow_factor`
"""

from __future__ import annotations

import asyncio
import socket
import struct

import msgspec

from gateway.errors import ApiError
from gateway.simulate.asgi import Headers, Receive, Scope, Send, respond, stay
from gateway.simulate.config import Fault
from gateway.simulate.reply import Reply, encode, event

TRANSPORT = "transport"
"""The key of the ASGI scope's `state` under which the server leaves the connection's transport."""

_EVER_S = 86_400.0
_BROKEN_EVENT = b'data: {"id": "broken", "choices": [{"delta": {"content": "\n\n'
_MESSAGE = "Simulated: the server had an error while processing your request."
_ERROR = {"error": {"message": _MESSAGE, "type": "server_error", "param": None, "code": "server_error"}}
_WORDING = {
    400: ("Simulated: the request is not valid.", "invalid_request_error", "invalid_request"),
    401: ("Simulated: incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("Simulated: you are not allowed to sample from this model.", "invalid_request_error", "forbidden"),
    404: (
        "Simulated: the model does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    429: ("Simulated: rate limit reached. Please try again in {}s.", "requests", "rate_limit_exceeded"),
    500: (_MESSAGE, "server_error", "server_error"),
    502: ("Simulated: bad gateway.", "server_error", "bad_gateway"),
    503: ("Simulated: the engine is currently overloaded, please try again later.", "server_error", "overloaded"),
    504: ("Simulated: the engine did not answer in time.", "server_error", "timeout"),
}


class SimulatedError(ApiError):
    """An error that the configuration asked for, worded as OpenAI words it; 429 and 503 tell when to come again."""

    def __init__(self, status: int, retry_after_s: int = 1) -> None:
        message, self.type, code = _WORDING.get(status, _WORDING[400 if status < 500 else 500])
        super().__init__(message.format(retry_after_s), code=code)
        self.status = status
        if status in {429, 503}:
            self.headers = ((b"retry-after", b"%d" % retry_after_s),)


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """The first half of a reply, or what stands in its place, and how it goes on; `tokens` are those that are out."""

    content: bytes
    tokens: int = 0
    rest: bytes = b""


def halved(fault: Fault, reply: Reply) -> Broken:
    """Return what a faulty reply says before it breaks, and after."""
    if fault == "early_error":
        return Broken(content=encode(_ERROR) if reply.frames is None else reply.failure or event(_ERROR))
    if reply.frames is None:
        return Broken(content=reply.body[: len(reply.body) // 2])
    half = max(len(reply.frames) // 2, 1)
    first, second = reply.frames[:half], reply.frames[half:]
    rest = _BROKEN_EVENT + b"".join(frame.event for frame in second) if fault == "malformed" else b""
    return Broken(content=b"".join(frame.event for frame in first), tokens=first[-1].tokens, rest=rest)


async def play(
    fault: Fault, reply: Reply, broken: Broken, headers: Headers, wires: tuple[Scope, Receive, Send]
) -> None:
    """Answer as the fault demands.

    Raises:
        CallerGoneError: the caller has left, or its connection was dropped.
    """
    scope, receive, send = wires
    if fault == "stall_head":
        await _stall(receive)
    elif fault == "reset_head":
        await _drop(scope, receive, reset=True)
    elif fault in {"early_error", "malformed"}:
        await respond(send, 200, headers, broken.content + broken.rest)
    else:
        whole = reply.frames is None
        length = [(b"content-length", b"%d" % len(reply.body))] if whole else []
        await send({"type": "http.response.start", "status": 200, "headers": [*headers, *length]})
        ends = fault == "cut" and not whole
        await send({"type": "http.response.body", "body": broken.content, "more_body": not ends})
        if fault == "stall_stream":
            await _stall(receive)
        if not ends:
            await _drop(scope, receive, reset=fault == "reset_stream")


async def _stall(receive: Receive) -> None:
    while True:
        await stay(receive, _EVER_S)


async def _drop(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """End the connection: with a reset, or after what was written."""
    transport: asyncio.Transport = scope["state"][TRANSPORT]
    if reset:
        now = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
