"""Read what a model server answers: whole answers and streamed events, of every endpoint. Pure.

Law: one reader for all shapes, which reads only what is needed, and for which a field of unknown shape is absent.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from msgspec import Raw

from analytics.usage import WireUsage

_NULL = Raw(b"null")
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_T = TypeVar("_T")
UNREADABLE_TIER = "(no text)"
"""No service tier, and none that a price can name."""


class _Delta(msgspec.Struct):
    content: Raw = _NULL
    reasoning: Raw = _NULL
    reasoning_content: Raw = _NULL
    refusal: Raw = _NULL
    tool_calls: Raw = _NULL
    function_call: Raw = _NULL
    audio: Raw = _NULL


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: Raw = _NULL
    finish_reason: str | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    id: str | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    error: Raw = _NULL


class Reply(msgspec.Struct):
    """What is read of a whole answer or of one streamed event; `error` is raw JSON, `null` when there is none.

    Chat completions and completions stream chunks with `choices`; the other endpoints' events say their `type`, and
    those of a response wrap it as `response`.
    """

    id: str | None = None
    choices: list[_Choice] | None = None
    usage: WireUsage | None = None
    error: Raw = _NULL
    service_tier: str | None = None
    response: _Response | None = None
    type: str | None = None
    delta: Raw = _NULL
    sequence_number: int | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None

    @property
    def failed(self) -> bool:
        """Tell whether it carries an error object, or is an event that tells of a failure."""
        return bytes(self.error) != b"null" or self.type in _FAILED

    def error_body(self, content: bytes) -> bytes:
        """Return the body of an answer that tells of this failure; `content` is what it was read from."""
        if bytes(self.error) != b"null":
            return content
        told = bytes(self.response.error) if self.response is not None else b"null"
        return b'{"error":' + (content if told == b"null" else told) + b"}"

    @property
    def ends(self) -> bool:
        """Tell whether it is an event after which no more comes."""
        return self.type in _LAST

    @property
    def finish_reason(self) -> str | None:
        """Return why the first choice ended that has ended, or how the response did."""
        if self.choices is not None:
            return next((choice.finish_reason for choice in self.choices if choice.finish_reason), None)
        part = self.response or self
        if part.incomplete_details is not None and part.incomplete_details.reason is not None:
            return part.incomplete_details.reason
        return part.status if part.status in _ENDED else None

    @property
    def has_delta(self) -> bool:
        """Tell whether it carries output: text, reasoning, refusal, a tool call, audio or an image."""
        if self.choices is not None:
            return any(_carries(choice) for choice in self.choices)
        if self.type is None:
            return False
        return self.type in _WHOLE_OUTPUT or (self.type.endswith(_PIECES) and bytes(self.delta) not in _NOTHING)

    @property
    def is_media(self) -> bool:
        """Tell whether its output is no text, so that counting such events tells nothing of tokens."""
        return self.type is not None and self.type.endswith(_MEDIA)

    @property
    def is_image(self) -> bool:
        """Tell whether it is the event that brings a whole image, of which a stream may have several."""
        return self.type in _WHOLE_OUTPUT

    @property
    def is_usage_only(self) -> bool:
        """Tell whether it is the extra chunk that `include_usage` adds."""
        return not self.choices and self.usage is not None

    @property
    def has_failed_status(self) -> bool:
        """Tell whether it is a whole answer that says that it failed, or an error in the place of one."""
        return (self.status == "failed" or bytes(self.error) != b"null") and self.choices is None


_REPLY = msgspec.json.Decoder(Reply)
_EMPTY = (b"null", b'""', b"[]")
_NOTHING = (b'""', b"{}")
_FAILED = frozenset({"error", "response.failed"})
_WHOLE_OUTPUT = frozenset({"image_generation.completed", "image_edit.completed"})
_LAST = frozenset(
    {
        "response.completed",
        "response.failed",
        "response.incomplete",
        "speech.audio.done",
        "transcript.text.done",
        *_WHOLE_OUTPUT,
    }
)
_ENDED = frozenset({"completed", "incomplete", "failed", "cancelled"})
_PIECES = (".delta", "partial_image")
_MEDIA = ("partial_image", ".audio.delta", *_WHOLE_OUTPUT)


def read(body: bytes) -> Reply | None:
    """Read a whole answer or one event; None when it is no JSON object. A field of unknown shape counts as absent."""
    try:
        return _REPLY.decode(body)
    except msgspec.ValidationError:
        return _known_parts(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


class _Error(msgspec.Struct):
    message: str | None = None
    param: str | None = None
    code: str | int | None = None


class _Refusal(msgspec.Struct):
    error: _Error


_REFUSAL = msgspec.json.Decoder(_Refusal)
_NOT_KEPT_CODES = frozenset({"previous_response_not_found", "conversation_not_found"})
_ID = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9_-]{16,}")
"""What no message holds by chance: a caller who sends a common word as an id would choose who answers."""
_KEPT_FIELDS = frozenset({"previous_response_id", "conversation", "conversation.id"})


def is_not_kept(body: bytes, kept: str) -> bool:
    """Tell whether an error says that the answer or conversation `kept`, from which a request goes on, is unknown."""
    try:
        error = _REFUSAL.decode(body).error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    if error.code in _NOT_KEPT_CODES or error.param in _KEPT_FIELDS:
        return True
    return _ID.fullmatch(kept) is not None and kept in (error.message or "")


def read_end(end: bytes) -> Reply | None:
    """Read the last members of a whole answer from `usage` on, out of its last bytes; None where they are not there.

    What follows a key is JSON as the rest of an object only where that key is the object's own.
    """
    at = end.rfind(b'"usage"')
    return read(b"{" + end[at:]) if at > 0 and end[at - 1] in _BEFORE_KEYS else None


_BEFORE_KEYS = b", \t\r\n"


def _known_parts(body: bytes) -> Reply | None:
    """Read field by field what another server spells in its own way: 10.0 tokens, a numeric id."""
    try:
        fields = _FIELDS.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return Reply(
        id=_or_none(str, fields.get("id"), strict=True),
        choices=_or_none(list[_Choice], fields.get("choices"), strict=True),
        usage=_or_none(WireUsage, fields.get("usage"), strict=False),
        error=fields.get("error", _NULL),
        service_tier=_tier(fields.get("service_tier", _NULL)),
        response=_or_none(_Response, fields.get("response"), strict=False),
        type=_or_none(str, fields.get("type"), strict=True),
        delta=fields.get("delta", _NULL),
        sequence_number=_or_none(int, fields.get("sequence_number"), strict=True),
        status=_or_none(str, fields.get("status"), strict=True),
        incomplete_details=_or_none(_Incomplete, fields.get("incomplete_details"), strict=True),
    )


def _or_none(kind: type[_T], raw: Raw | None, *, strict: bool) -> _T | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=kind, strict=strict)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _tier(raw: Raw) -> str | None:
    """Read a service tier; one that is no text is not the standard one, and has no price."""
    if bytes(raw) == b"null":
        return None
    tier = _or_none(str, raw, strict=True)
    return UNREADABLE_TIER if tier is None else tier


def _carries(choice: _Choice) -> bool:
    delta = choice.delta
    if delta is None:
        return bytes(choice.text) not in _EMPTY
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
