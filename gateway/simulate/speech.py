"""`POST /v1/audio/speech`: a sound as bytes, or as events that carry it. Pure."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.errors import BadRequestError
from gateway.simulate import strict
from gateway.simulate.reply import (
    EVENTS_CONTENT,
    FIXED_INPUT,
    Asked,
    Bill,
    Endpoint,
    Frame,
    Lot,
    Received,
    Reply,
    event,
)
from gateway.simulate.sound import CONTENT_TYPES, blocks
from gateway.simulate.wire import tokens_of


class SpeechRequest(Asked, kw_only=True):
    """The body of a speech request; a voice is a name, or an object with an `id`."""

    input: Annotated[str, Meta(min_length=1, max_length=4_096)]
    voice: str | dict[str, Any]
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    instructions: str | None = None
    stream_format: Literal["audio", "sse"] | None = None


_decoder = msgspec.json.Decoder(SpeechRequest)


def read(received: Received) -> SpeechRequest:
    """Read a request.

    Raises:
        BadRequestError: a field is wrong; `param` names it.
    """
    request = strict.decode(received.body, _decoder, "speech")
    if request.response_format not in {None, *CONTENT_TYPES}:
        message = f"The simulated server speaks {', '.join(CONTENT_TYPES)}; 'response_format' must be one of them."
        raise BadRequestError(message, param="response_format")
    return request


def reply(request: SpeechRequest, lot: Lot) -> Reply:
    """Say a text: one block of sound, and one token, for each token of it."""
    size = tokens_of(request.input.encode())
    fixed = request.fixed(FIXED_INPUT)
    into = size if fixed is None else fixed
    form = request.response_format or "mp3"
    sound = blocks(form, size)
    step = lot.model.tokens_per_chunk
    pieces = [b"".join(sound[at : at + step]) for at in range(0, len(sound), step)]
    events = request.stream_format == "sse"
    frames = [
        Frame(_delta(piece) if events else piece, at, min(at + step, size))
        for at, piece in zip(range(0, size, step), pieces, strict=True)
    ]
    if events:
        usage = {"input_tokens": into, "output_tokens": size, "total_tokens": into + size}
        frames.append(Frame(event({"type": "speech.audio.done", "usage": usage}), size, size))
    return Reply(
        bill=Bill(input=into, output=size),
        frames=frames,
        content_type=EVENTS_CONTENT if events else CONTENT_TYPES[form],
        longest=size,
    )


def _delta(piece: bytes) -> bytes:
    return event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})


SPEECH = Endpoint(read, reply)
