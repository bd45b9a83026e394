"""`POST /v1/moderations`: what the text itself says is flagged, so that a test can tell it in advance. Pure.

A text is flagged for a category when it contains `flag:` and the category's name: "flag:violence".
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.errors import BadRequestError
from gateway.simulate import strict
from gateway.simulate.reply import Asked, Bill, Endpoint, Lot, Received, Reply, encode

DEFAULT_MODEL = "omni-moderation-latest"
"""What OpenAI uses when a request names no model."""
CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
)
_IMAGE_CATEGORIES = frozenset(name for name in CATEGORIES if name.startswith(("self-harm", "violence"))) | {"sexual"}
_LOW, _HIGH = 0.001, 0.99


class _Link(msgspec.Struct):
    url: str


class _Part(msgspec.Struct):
    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: _Link | None = None


class ModerationRequest(Asked, kw_only=True):
    """The body of a moderation request: a text, several, or one content of text and image parts."""

    model: str = DEFAULT_MODEL
    input: str | list[str | _Part]


_decoder = msgspec.json.Decoder(ModerationRequest)


def read(received: Received) -> ModerationRequest:
    """Read a request.

    Raises:
        BadRequestError: a field is wrong; `param` names it.
    """
    request = strict.decode(received.body, _decoder, "moderation")
    kinds = {type(one) for one in request.input} if isinstance(request.input, list) else {str}
    if len(kinds) != 1:
        message = "'input' is empty or mixes texts with parts; send a text, a list of texts, or a list of parts"
        raise BadRequestError(message, param="input")
    return request


def reply(request: ModerationRequest, lot: Lot) -> Reply:
    """Judge each text, or all parts as one; nothing is billed."""
    given = [request.input] if isinstance(request.input, str) else request.input
    texts = [one for one in given if isinstance(one, str)]
    parts = [one for one in given if isinstance(one, _Part)]
    results = [_judged(text, {"text"}) for text in texts]
    if parts:
        whole = " ".join(part.text or "" for part in parts)
        results.append(_judged(whole, {"image" if part.type == "image_url" else "text" for part in parts}))
    return Reply(bill=Bill(), body=encode({"id": f"modr-{lot.id}", "model": request.model, "results": results}))


def _judged(text: str, kinds: set[str]) -> dict[str, Any]:
    said = {word.removeprefix("flag:").rstrip(".,;!?") for word in text.split() if word.startswith("flag:")}
    found = {name: name in said for name in CATEGORIES}
    return {
        "flagged": any(found.values()),
        "categories": found,
        "category_scores": {name: _HIGH if hit else _LOW for name, hit in found.items()},
        "category_applied_input_types": {
            name: [kind for kind in sorted(kinds) if kind == "text" or name in _IMAGE_CATEGORIES] for name in CATEGORIES
        },
    }


MODERATIONS = Endpoint(read, reply)
