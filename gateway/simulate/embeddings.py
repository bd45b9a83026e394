"""`POST /v1/embeddings`: unit vectors that follow from the text alone. Pure.

The same text has the same vector on every server and for every model; a shorter one is its beginning, at length 1.
"""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from random import Random
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.errors import BadRequestError
from gateway.simulate import strict
from gateway.simulate.reply import FIXED_INPUT, Asked, Bill, Endpoint, Lot, Received, Reply, encode
from gateway.simulate.wire import tokens_of

MOST_INPUTS = 2_048
"""OpenAI's limit on the texts of one request."""
_Token = Annotated[int, Meta(ge=0)]


class EmbeddingRequest(Asked, kw_only=True):
    """The body of an embedding request; an input is text, tokens, or a list of either."""

    input: str | list[str | _Token | list[_Token]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


_decoder = msgspec.json.Decoder(EmbeddingRequest)


def inputs(request: EmbeddingRequest) -> list[str | list[int]]:
    """Return the inputs, each as text or tokens.

    Raises:
        BadRequestError: there is none, one is empty, there are too many, or texts and tokens are mixed.
    """
    given = request.input
    if isinstance(given, str):
        listed: list[str | list[int]] = [given]
    else:
        numbers = [one for one in given if isinstance(one, int)]
        whole = bool(numbers) and len(numbers) == len(given)
        listed = [numbers] if whole else [one for one in given if not isinstance(one, int)]
        if numbers and not whole:
            listed = []
    if not listed or not all(listed) or len(listed) > MOST_INPUTS:
        message = (
            f"'$.input' is invalid: write a text, a list of tokens, or a list of 1 to {MOST_INPUTS} of either, "
            "none of them empty."
        )
        raise BadRequestError(message, param="input")
    return listed


def read(received: Received) -> EmbeddingRequest:
    """Read a request.

    Raises:
        BadRequestError: a field is wrong; `param` names it.
    """
    request = strict.decode(received.body, _decoder, "embedding")
    inputs(request)
    return request


def reply(request: EmbeddingRequest, lot: Lot) -> Reply:
    """Embed every input.

    Raises:
        BadRequestError: more dimensions are asked for than the model has.
    """
    has = lot.model.embedding_dimensions
    wanted = request.dimensions or has
    if wanted > has:
        message = f"This model's vectors have {has} dimensions; 'dimensions' may not be greater."
        raise BadRequestError(message, param="dimensions")
    each = inputs(request)
    fixed = request.fixed(FIXED_INPUT)
    sizes = [tokens_of(one.encode()) if isinstance(one, str) else len(one) for one in each]
    used = sum(sizes) if fixed is None else fixed
    listed = [
        {"object": "embedding", "index": index, "embedding": _written(vector(one, wanted), request.encoding_format)}
        for index, one in enumerate(each)
    ]
    usage = {"prompt_tokens": used, "total_tokens": used}
    body = encode({"object": "list", "data": listed, "model": request.model, "usage": usage})
    return Reply(bill=Bill(input=used), body=body)


def vector(text: str | list[int], dimensions: int) -> list[float]:
    """Return the vector of a text or its tokens: of length 1, with so many dimensions."""
    named = text.encode() if isinstance(text, str) else encode(text)
    rng = Random(int.from_bytes(hashlib.sha256(named).digest()))
    drawn = [rng.normalvariate(0, 1) for _ in range(dimensions)]
    length = math.hypot(*drawn)
    return [value / length for value in drawn]


def _written(values: list[float], form: str | None) -> list[float] | str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode() if form == "base64" else values


EMBEDDINGS = Endpoint(read, reply)
