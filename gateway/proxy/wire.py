"""Read and rewrite OpenAI's JSON. Pure: unknown fields pass through untouched, and nothing is read that is not needed.

One decode into `dict[str, Raw]` serves both reading and rewriting: values stay the caller's own bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw

from analytics.usage import WireUsage
from gateway.errors import BadRequestError

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
_NAME = msgspec.json.Decoder(str)
_ABSENT = Raw(b"null")
_KEY = re.compile(rb'[ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\r\n]*+:[ \t\r\n]*+')
_VALUE_END = re.compile(rb"[ \t\r\n]*+[,}]")
"""A key of valid JSON up to its value, and what ends the value; no step backwards, so that no body is slow."""
_SHOWN_CHARACTERS = 100
_T = TypeVar("_T")


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One request body, read: its top-level fields as raw JSON, the model it names, and how it wants its answer."""

    body: bytes
    fields: Mapping[str, Raw]
    model: str
    stream: bool
    asks_usage: bool

    def text(self, name: str) -> str | None:
        """Return a top-level string field, or None when it is absent or null.

        Raises:
            BadRequestError: the field holds something other than a string.
        """
        return _text(self.fields.get(name, _ABSENT), name)

    def metadata_text(self, name: str) -> str | None:
        """Return a string out of `metadata`, or None when it is absent or null; errors as `text`."""
        return _text((_object(self.fields, "metadata") or {}).get(name, _ABSENT), f"metadata.{name}")


def read(body: bytes) -> Reading:
    """Read a JSON request body.

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
    if not model:
        message = "The request names no model; set 'model' to one of the names that GET /v1/models lists."
        raise BadRequestError(message, param="model", code="missing_model")
    if len(model) > MAX_MODEL_CHARACTERS or not model.isprintable():
        message = f"The model's name must be printable and at most {MAX_MODEL_CHARACTERS} characters long."
        raise BadRequestError(message, param="model", code="invalid_model")
    stream = bool(_typed(_FLAG, fields.get("stream", _ABSENT), "stream", "true or false"))
    options = _object(fields, "stream_options") if stream else None
    usage = _typed(
        _FLAG, (options or {}).get("include_usage", _ABSENT), "stream_options.include_usage", "true or false"
    )
    return Reading(body=body, fields=fields, model=model, stream=stream, asks_usage=bool(usage))


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


class _Delta(msgspec.Struct):
    content: Raw = _ABSENT
    reasoning: Raw = _ABSENT
    reasoning_content: Raw = _ABSENT
    refusal: Raw = _ABSENT
    tool_calls: Raw = _ABSENT
    function_call: Raw = _ABSENT
    audio: Raw = _ABSENT


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Response(msgspec.Struct):
    id: str | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None


class Answer(msgspec.Struct):
    """What is read of a whole answer or of one streamed chunk; `error` is raw JSON, `null` when there is none.

    `response` is what the events of a streamed response wrap, such as `response.completed`.
    """

    id: str | None = None
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: Raw = _ABSENT
    service_tier: str | None = None
    response: _Response | None = None

    @property
    def failed(self) -> bool:
        """Tell whether it carries an error object."""
        return bytes(self.error) != b"null"

    @property
    def finish_reason(self) -> str | None:
        """Return the first choice's reason for ending, if any choice has ended."""
        return next((choice.finish_reason for choice in self.choices or () if choice.finish_reason), None)

    @property
    def has_delta(self) -> bool:
        """Tell whether it carries output: content, reasoning, refusal, a tool call or audio."""
        return any(_carries(choice.delta) for choice in self.choices or () if choice.delta is not None)

    @property
    def is_usage_only(self) -> bool:
        """Tell whether it is the extra chunk that `include_usage` adds."""
        return not self.choices and self.usage is not None


_ANSWER = msgspec.json.Decoder(Answer)
_EMPTY = (b"null", b'""', b"[]")


def answer(body: bytes) -> Answer | None:
    """Read a whole answer or one chunk; None when it is no JSON object. A field of unknown shape counts as absent."""
    try:
        return _ANSWER.decode(body)
    except msgspec.ValidationError:
        return _known_parts(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _known_parts(body: bytes) -> Answer | None:
    """Read field by field what another server spells in its own way: 10.0 tokens, a numeric id."""
    try:
        fields = _FIELDS.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return Answer(
        id=_or_none(str, fields.get("id"), strict=True),
        choices=_or_none(list[_Choice], fields.get("choices"), strict=True),
        usage=_or_none(WireUsage, fields.get("usage"), strict=False),
        error=fields.get("error", _ABSENT),
        service_tier=_or_none(str, fields.get("service_tier"), strict=True),
        response=_or_none(_Response, fields.get("response"), strict=False),
    )


def _or_none(kind: type[_T], raw: Raw | None, *, strict: bool) -> _T | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=kind, strict=strict)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _carries(delta: _Delta) -> bool:
    parts = (
        delta.content,
        delta.reasoning,
        delta.reasoning_content,
        delta.refusal,
        delta.tool_calls,
        delta.function_call,
        delta.audio,
    )
    return any(bytes(part) not in _EMPTY for part in parts)


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
