"""Read and rewrite requests in OpenAI's JSON. Pure: unknown fields pass untouched; nothing is read without need.

One decode into `dict[str, Raw]` serves both reading and rewriting: values stay the caller's own bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw

from gateway.errors import BadRequestError
from gateway.proxy.endpoints import CHAT, Endpoint

FORBIDDEN_FIELDS = ("api_base", "base_url", "api_key", "extra_headers")
"""Top-level fields by which other gateways let a caller redirect a request (CVE-2024-6587, CVE-2025-66405)."""

_READ_HERE = frozenset(
    {*FORBIDDEN_FIELDS, "metadata", "model", "safety_identifier", "stream", "stream_options", "user"}
)
"""Fields that decide something here. Some servers (all that read JSON with Go's library) take `Model` for `model`."""

MAX_MODEL_CHARACTERS = 256
"""Longer than any real name: a name stands in records and headers."""

MAX_FIELDS = 1000
"""Far more than any endpoint has; bounds what a body can cost that is all fields."""

_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_STRING = msgspec.json.Decoder(str | None)
_FLAG = msgspec.json.Decoder(bool | None)
_OBJECT = msgspec.json.Decoder(dict[str, Raw] | None)
_COUNT = msgspec.json.Decoder(int | None)
_NAME = msgspec.json.Decoder(str)
_ABSENT = Raw(b"null")
_KEY = re.compile(rb'[ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\r\n]*+:[ \t\r\n]*+')
_VALUE_END = re.compile(rb"[ \t\r\n]*+[,}]")
"""A key of valid JSON up to its value, and what ends the value; no step backwards, so that no body is slow."""
_SHOWN_CHARACTERS = 100


class _Kept(msgspec.Struct):
    id: str


_KEPT = msgspec.json.Decoder(str | _Kept | None)
_T = TypeVar("_T")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One request body, read: its top-level fields as raw JSON, the model it names, and how it wants its answer."""

    body: bytes
    fields: Mapping[str, Raw]
    model: str
    stream: bool
    asks_usage: bool

    def continues(self) -> str | None:
        """Return the id of what the request goes on from: an earlier answer, or a conversation; None when nothing."""
        named = self.fields.get("previous_response_id", _ABSENT), self.fields.get("conversation", _ABSENT)
        for raw in named:
            try:
                kept = _KEPT.decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            if kept is not None and (named_id := kept.id if isinstance(kept, _Kept) else kept):
                return named_id
        return None

    def count(self, name: str) -> int:
        """Return a top-level number that says how many of something are wanted; 1 when it is none."""
        try:
            return min(max(_COUNT.decode(self.fields.get(name, _ABSENT)) or 1, 1), MAX_FIELDS)
        except msgspec.MsgspecError:
            return 1

    def text(self, name: str) -> str | None:
        """Return a top-level string field, or None when it is absent or null.

        Raises:
            BadRequestError: the field holds something other than a string.
        """
        return _text(self.fields.get(name, _ABSENT), name)

    def metadata_text(self, name: str) -> str | None:
        """Return a string out of `metadata`, or None when it is absent or null; errors as `text`."""
        return _text((_object(self.fields, "metadata") or {}).get(name, _ABSENT), f"metadata.{name}")


def read(body: bytes, endpoint: Endpoint = CHAT) -> Reading:
    """Read a JSON request body; one without `model` means its endpoint's default, where there is one.

    Raises:
        BadRequestError: it is not one strict UTF-8 JSON object without duplicate keys, lacks `model`, or holds a field
            of the wrong type; `param` names the field.
    """
    fields = _fields(body)
    for name in FORBIDDEN_FIELDS:
        if name in fields:
            message = f"The field {name!r} is not accepted in a request; upstreams are configured by the operator."
            raise BadRequestError(message, param=name, code="field_not_allowed")
    _refuse_look_alikes(fields)
    model = _text(fields.get("model", _ABSENT), "model")
    if model is None:
        model = endpoint.default_model
    model = model_name(model)
    stream = bool(_typed(_FLAG, fields.get("stream", _ABSENT), "stream", "true or false"))
    options = _object(fields, "stream_options") if stream else None
    usage = _typed(
        _FLAG, (options or {}).get("include_usage", _ABSENT), "stream_options.include_usage", "true or false"
    )
    if endpoint.is_media and bytes(fields.get("stream_format", _ABSENT)) == b'"sse"':
        stream = True
    return Reading(body=body, fields=fields, model=model, stream=stream, asks_usage=bool(usage))


def model_name(model: str | None) -> str:
    """Return the name; raises `BadRequestError` when it is missing, or none that can stand in a record."""
    if not model:
        message = "The request names no model; set 'model' to one of the names that GET /v1/models lists."
        raise BadRequestError(message, param="model", code="missing_model")
    if len(model) > MAX_MODEL_CHARACTERS or not model.isprintable():
        message = f"The model's name must be printable and at most {MAX_MODEL_CHARACTERS} characters long."
        raise BadRequestError(message, param="model", code="invalid_model")
    return model


def rewrite(reading: Reading, model: str, *, inject_usage: bool) -> bytes:
    """Return the body for the upstream: `model` replaced and, if asked, `stream_options.include_usage` set to true.

    Every other value is the caller's, byte for byte; a body that needs no change is returned as it came.
    """
    if model == reading.model and not inject_usage:
        return reading.body
    fields = dict(reading.fields)
    fields["model"] = Raw(msgspec.json.encode(model))
    if inject_usage:
        options = dict(_object(fields, "stream_options") or {})
        options["include_usage"] = Raw(b"true")
        fields["stream_options"] = Raw(msgspec.json.encode(options))
    return msgspec.json.encode(fields)


def fields(body: bytes) -> Mapping[str, Raw]:
    """Return the top-level fields of a body of our own API as raw JSON; raises `BadRequestError` as `read`."""
    return _fields(body)


def _fields(body: bytes) -> dict[str, Raw]:
    try:
        fields = _FIELDS.decode(body)
        if not body.isascii():
            body.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(_reason(body, error), code="invalid_json") from None
    if len(fields) > MAX_FIELDS:
        message = f"The body has more than {MAX_FIELDS:,} top-level fields."
        raise BadRequestError(message, code="field_not_allowed")
    if len(msgspec.json.encode(fields)) != len(body):
        _refuse_duplicates(body, fields)
    return fields


def _reason(body: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The body is nested too deeply."
    if isinstance(error, UnicodeDecodeError):
        return f"The body is not valid UTF-8 (byte {error.start})."
    if isinstance(error, msgspec.ValidationError):
        return "The body must be one JSON object."
    if not body:
        return "The body is empty; send one JSON object."
    if ("truncated" in str(error) or "escape" in str(error)) and b"\\ud" in body.lower():
        return "The body is cut off, or holds half of a surrogate pair (\\ud800 to \\udfff)."
    return f"The body is not valid JSON: {error}."


def _refuse_duplicates(body: bytes, fields: Mapping[str, Raw]) -> None:
    """Raise when an object names a key twice. Reached by bodies with white space, or escapes in keys, alone.

    Walks from key to key: of a key named once, what follows is its value, byte for byte; where it is not, or where a
    key comes again, there are two. The body is known to be valid, so nothing else needs a look.
    """
    seen: set[str] = set()
    at = body.index(b"{") + 1
    while (key := _KEY.match(body, at)) is not None:
        name = _NAME.decode(key[1])
        value = bytes(fields[name])
        end = _VALUE_END.match(body, key.end() + len(value)) if body.startswith(value, key.end()) else None
        if end is None or name in seen:
            message = f"The body names {name[:_SHOWN_CHARACTERS]!r} twice; send each field once."
            raise BadRequestError(message, param=name[:_SHOWN_CHARACTERS], code="duplicate_field")
        seen.add(name)
        at = end.end()


def _refuse_look_alikes(fields: Mapping[str, Raw]) -> None:
    """Raise when a field differs only in its letters' case from one that is read here: two readers could disagree."""
    for name in fields:
        if not (name.isascii() and name.islower()) and (meant := name.casefold()) in _READ_HERE:
            message = f"The field {name!r} looks like {meant!r}; some servers would take it for that."
            raise BadRequestError(message, param=name, code="ambiguous_field")


def _typed(decoder: msgspec.json.Decoder[_T], raw: Raw, name: str, wanted: str) -> _T:
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        message = f"The field {name!r} must be {wanted}."
        raise BadRequestError(message, param=name, code="invalid_type") from None


def _text(raw: Raw, name: str) -> str | None:
    return _typed(_STRING, raw, name, "a string")


def _object(fields: Mapping[str, Raw], name: str) -> dict[str, Raw] | None:
    raw = fields.get(name, _ABSENT)
    read = _typed(_OBJECT, raw, name, "an object")
    if read is not None and len(msgspec.json.encode(read)) != len(bytes(raw)):
        _refuse_duplicates(bytes(raw), read)
    return read
