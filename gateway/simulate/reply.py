"""What every endpoint takes and gives: a request with a model, what was drawn for it, a reply with its bill. Pure.

An endpoint is two functions without I/O: one reads a request, one replies to it. `stage` lets replies take their time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from gateway.errors import BadRequestError
from gateway.simulate.config import SimulatedModel

MARK = "simulate_id"
"""Key of a request's `metadata` that names it in `GET /simulate/cancelled`."""
FIXED_OUTPUT = "simulate_output_tokens"
FIXED_INPUT = "simulate_input_tokens"
"""Keys of a request's `metadata` that fix its token counts."""
DONE = b"data: [DONE]\n\n"
JSON_CONTENT = b"application/json"
EVENTS_CONTENT = b"text/event-stream; charset=utf-8"

encode = msgspec.json.Encoder().encode


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came: its body and the value of its content-type header."""

    body: bytes
    content_type: str = "application/json"


class Asked(msgspec.Struct, kw_only=True):
    """What every request to a model has; fields that no endpoint names are accepted and ignored."""

    model: str
    stream: bool | None = None
    seed: int | None = None
    metadata: dict[str, str] | None = None

    @property
    def mark(self) -> str | None:
        """Return the name that the caller gave this request."""
        return (self.metadata or {}).get(MARK)

    def fixed(self, key: str) -> int | None:
        """Return a count that `metadata` fixes, or None.

        Raises:
            BadRequestError: what stands there is no count.
        """
        if not self.metadata or (text := self.metadata.get(key)) is None:
            return None
        if not re.fullmatch("[0-9]{1,7}", text) or int(text) > 1_000_000:
            message = f"metadata.{key} is {text[:40]!r}; write a whole number of tokens from 0 to 1000000 as a string"
            raise BadRequestError(message, param="metadata")
        return int(text)


def wanted_tokens(request: Asked, model: SimulatedModel, drawn: int) -> int:
    """Return how long an answer is: as drawn, or as the request fixes it, times the model's factor."""
    fixed = request.fixed(FIXED_OUTPUT)
    return round((drawn if fixed is None else fixed) * model.length_factor)


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """What was drawn for one reply.

    `id` is unique on this server, `created` is seconds since 1970 UTC, `output_tokens` the length of an answer; `good`
    tells whether a simulated user will like it.
    """

    id: str
    created: int
    model: SimulatedModel
    rng: Random
    output_tokens: int
    good: bool = True


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply is billed as, in tokens; `cached` is a part of `input`, `reasoning` of `output`."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


class Frame(msgspec.Struct, frozen=True):
    """One piece of a streamed reply: its bytes, and how many of its tokens are out before it and with it."""

    event: bytes
    tokens_before: int
    tokens: int


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """One reply: a `body`, due with its last token, or `frames`, each due with its first.

    `thinking_tokens` go before the first one; `longest` counts the tokens of its longest part. `failure` is the event
    by which a stream says that it failed, where that is not an error like any other.
    """

    bill: Bill
    body: bytes = b""
    frames: list[Frame] | None = None
    failure: bytes = b""
    content_type: bytes = JSON_CONTENT
    thinking_tokens: int = 0
    longest: int = 0


class Endpoint(msgspec.Struct, frozen=True):
    """One endpoint that a model answers at; `reply` is given what `read` returned. Both may raise `ApiError`."""

    read: Callable[[Received], Asked]
    reply: Callable[[Any, Lot], Reply]


def event(value: Any, name: str | None = None) -> bytes:
    """Return one server-sent event, named or not."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + encode(value) + b"\n\n"
