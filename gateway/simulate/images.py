"""`POST /v1/images/generations` and `/v1/images/edits`: small pictures, whole or as events with partial ones. Pure."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.errors import BadRequestError
from gateway.simulate import form, strict
from gateway.simulate.png import picture
from gateway.simulate.reply import (
    EVENTS_CONTENT,
    FIXED_INPUT,
    FIXED_OUTPUT,
    JSON_CONTENT,
    Asked,
    Bill,
    Endpoint,
    Frame,
    Lot,
    Received,
    Reply,
    encode,
    event,
)
from gateway.simulate.wire import tokens_of

TOKENS_BY_QUALITY = {"low": 272, "medium": 1_056, "high": 4_160}
"""Output tokens of one square picture, as OpenAI's guide to image generation counts them."""
TOKENS_OF_AN_INPUT_PICTURE = 323
MOST_PICTURES = 16
"""OpenAI's limit on the pictures of one edit."""

_Size = Literal["auto", "256x256", "512x512", "1024x1024", "1024x1536", "1536x1024", "1792x1024", "1024x1792"]


class ImageRequest(Asked, kw_only=True):
    """A request for pictures; `pictures` counts those that came along."""

    prompt: Annotated[str, Meta(min_length=1, max_length=32_000)]
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    size: _Size | None = None
    quality: Literal["auto", "low", "medium", "high", "standard", "hd"] | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    response_format: Literal["url", "b64_json"] | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    pictures: int = 0


_decoder = msgspec.json.Decoder(ImageRequest)


def read_generation(received: Received) -> ImageRequest:
    """Read a request for new pictures.

    Raises:
        BadRequestError: a field is wrong; `param` names it.
    """
    return _checked(msgspec.structs.replace(strict.decode(received.body, _decoder, "image generation"), pictures=0))


def read_edit(received: Received) -> ImageRequest:
    """Read a request to change pictures, a form.

    Raises:
        BadRequestError: a field is wrong, or there is no picture; `param` names it.
    """
    given = form.read(received)
    count = len(given.files.get("image", []))
    if not 1 <= count <= MOST_PICTURES:
        message = f"'image' must be 1 to {MOST_PICTURES} uploaded pictures; the form has {count}."
        raise BadRequestError(message, param="image")
    if "mask" in given.files:
        given.file("mask")
    return _checked(strict.convert({**given.fields, "pictures": count}, ImageRequest, "image edit"))


def _checked(request: ImageRequest) -> ImageRequest:
    if request.output_format not in {None, "png"}:
        message = "The simulated server draws PNG alone; leave 'output_format' out or set it to 'png'."
        raise BadRequestError(message, param="output_format")
    if request.partial_images and not request.stream:
        message = "'partial_images' needs 'stream': true."
        raise BadRequestError(message, param="partial_images")
    return request


def _replied(request: ImageRequest, lot: Lot, prefix: str) -> Reply:
    count = request.n or 1
    quality = request.quality if request.quality in TOKENS_BY_QUALITY else "medium"
    usage = _usage(request, TOKENS_BY_QUALITY[quality] * count)
    shown = {
        "background": "opaque" if request.background in {None, "auto"} else request.background,
        "output_format": "png",
        "quality": quality,
        "size": "1024x1024" if request.size in {None, "auto"} else request.size,
    }
    pictures = [_drawn(lot) for _ in range(count)]
    body = {"created": lot.created, "data": [_described(one, request) for one in pictures], **shown, "usage": usage}
    return Reply(
        bill=Bill(input=usage["input_tokens"], output=usage["output_tokens"]),
        body=b"" if request.stream else encode(body),
        frames=_frames(request, lot, pictures, {**shown, "created_at": lot.created}, usage, prefix)
        if request.stream
        else None,
        content_type=EVENTS_CONTENT if request.stream else JSON_CONTENT,
        longest=lot.output_tokens,
    )


def generated(request: ImageRequest, lot: Lot) -> Reply:
    """Draw what is asked for, or something."""
    return _replied(request, lot, "image_generation")


def edited(request: ImageRequest, lot: Lot) -> Reply:
    """Draw something else instead."""
    return _replied(request, lot, "image_edit")


def _usage(request: ImageRequest, output: int) -> dict[str, Any]:
    text, images = tokens_of(request.prompt.encode()), request.pictures * TOKENS_OF_AN_INPUT_PICTURE
    fixed_in, fixed_out = request.fixed(FIXED_INPUT), request.fixed(FIXED_OUTPUT)
    into = text + images if fixed_in is None else fixed_in
    out = output if fixed_out is None else fixed_out
    return {
        "input_tokens": into,
        "input_tokens_details": {"image_tokens": min(images, into), "text_tokens": into - min(images, into)},
        "output_tokens": out,
        "total_tokens": into + out,
    }


def _drawn(lot: Lot) -> str:
    colour = (lot.rng.randrange(256), lot.rng.randrange(256), lot.rng.randrange(256))
    return base64.b64encode(picture(colour)).decode()


def _described(drawn: str, request: ImageRequest) -> dict[str, Any]:
    return {"url": f"data:image/png;base64,{drawn}"} if request.response_format == "url" else {"b64_json": drawn}


def _frames(
    request: ImageRequest, lot: Lot, pictures: list[str], shown: dict[str, Any], usage: dict[str, Any], prefix: str
) -> list[Frame]:
    made: list[Frame] = []
    steps = request.partial_images or 0
    for number in range(steps):
        at = lot.output_tokens * number // (steps + 1)
        name = f"{prefix}.partial_image"
        said = {"type": name, "b64_json": _drawn(lot), "partial_image_index": number, **shown}
        made.append(Frame(event(said, name), at, at + 1))
    for drawn in pictures:
        name = f"{prefix}.completed"
        said = {"type": name, "b64_json": drawn, **shown, "usage": usage}
        made.append(Frame(event(said, name), lot.output_tokens, lot.output_tokens))
    return made


GENERATIONS = Endpoint(read_generation, generated)
EDITS = Endpoint(read_edit, edited)
