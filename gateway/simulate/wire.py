"""What a caller may ask of the simulated server, and what it answers: OpenAI's chat completions. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from gateway.errors import BadRequestError

BYTES_PER_TOKEN = 4
"""A prompt's tokens are the bytes of its `messages` JSON, as received, divided by this and rounded up."""

FIXED_OUTPUT = "simulate_output_tokens"
FIXED_INPUT = "simulate_input_tokens"
MARK = "simulate_id"
"""Keys of a request's `metadata` that fix its token counts, and that name it in `GET /simulate/cancelled`."""

Limit = Annotated[int, Meta(ge=1)]


class StreamOptions(msgspec.Struct):
    """`stream_options`."""

    include_usage: bool | None = None


class Function(msgspec.Struct):
    """One declared function; `parameters` is a JSON schema."""

    name: str
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    """One declared tool; only functions are called."""

    type: str
    function: Function | None = None


class JsonSchema(msgspec.Struct):
    """The schema that an answer must keep."""

    name: str
    schema: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])


class ResponseFormat(msgspec.Struct):
    """`response_format`: `text`, `json_object` or `json_schema`."""

    type: str
    json_schema: JsonSchema | None = None


class Message(msgspec.Struct):
    """One message: who spoke, and what."""

    role: str
    content: Any = None


class ChatRequest(msgspec.Struct):
    """The body of a chat completion request; fields not named here are accepted and ignored."""

    model: str
    messages: Raw
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    metadata: dict[str, str] | None = None

    @property
    def most_tokens(self) -> int | None:
        """Return the caller's limit on an answer's tokens."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def prompt_tokens(self) -> int:
        """Return what the prompt is billed as: as fixed by the request, else by its size."""
        fixed = self.fixed(FIXED_INPUT)
        return fixed if fixed is not None else -(-len(bytes(self.messages)) // BYTES_PER_TOKEN)

    def fixed(self, key: str) -> int | None:
        """Return a count that `metadata` fixes, or None."""
        if not self.metadata or (text := self.metadata.get(key)) is None:
            return None
        if not re.fullmatch("[0-9]{1,7}", text) or int(text) > 1_000_000:
            message = f"metadata.{key} is {text[:40]!r}; write a whole number of tokens from 0 to 1000000 as a string"
            raise BadRequestError(message, param="metadata")
        return int(text)


_decoder = msgspec.json.Decoder(ChatRequest)
_messages = msgspec.json.Decoder(list[Message])


def read(body: bytes) -> ChatRequest:
    """Read a request's body.

    Raises:
        BadRequestError: it is not JSON, or a field has the wrong type or range; `param` names the field.
    """
    try:
        if not body.isascii():
            body.decode()
        request = _decoder.decode(body)
    except msgspec.ValidationError as error:
        field = re.search(r"`\$\.(\w+)", str(error)) or re.search(r"field `(\w+)`", str(error))
        message = f"The request body is not a chat completion request: {error}"
        raise BadRequestError(message, param=field[1] if field else None) from error
    except (ValueError, RecursionError) as error:
        message = "We could not parse the JSON body of your request."
        raise BadRequestError(message) from error
    if bytes(request.messages) in {b"[]", b"null"}:
        message = "'messages' is empty; send at least one message"
        raise BadRequestError(message, param="messages")
    return request


def last_message(request: ChatRequest) -> Message:
    """Return what was said last.

    Raises:
        BadRequestError: `messages` is not a list of messages with a role.
    """
    try:
        return _messages.decode(request.messages)[-1]
    except (msgspec.MsgspecError, IndexError) as error:
        message = f"'messages' must be a list of objects with a 'role': {error}"
        raise BadRequestError(message, param="messages") from error


class InputParts(msgspec.Struct, frozen=True, kw_only=True):
    """`prompt_tokens_details`."""

    cached_tokens: int
    audio_tokens: int


class OutputParts(msgspec.Struct, frozen=True, kw_only=True):
    """`completion_tokens_details`."""

    reasoning_tokens: int
    audio_tokens: int
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class AnswerUsage(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's `usage` object; every count is in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: InputParts
    completion_tokens_details: OutputParts
