"""What a caller may ask of the simulated server, and what it answers: OpenAI's chat completions. Pure."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from gateway.errors import BadRequestError
from gateway.simulate import strict
from gateway.simulate.reply import FIXED_INPUT, Asked, Received

BYTES_PER_TOKEN = 4
"""A prompt's tokens are the bytes of its `messages` JSON, as received, divided by this and rounded up."""

Limit = Annotated[int, Meta(ge=1)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]


def tokens_of(text: bytes) -> int:
    """Return how many tokens a text is billed as."""
    return -(-len(text) // BYTES_PER_TOKEN)


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


class ChatRequest(Asked, kw_only=True):
    """The body of a chat completion request; fields not named here are accepted and ignored."""

    messages: Raw
    stream_options: StreamOptions | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    stop: str | list[str] | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None

    @property
    def most_tokens(self) -> int | None:
        """Return the caller's limit on an answer's tokens."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def prompt_tokens(self) -> int:
        """Return what the prompt is billed as: as fixed by the request, else by its size."""
        fixed = self.fixed(FIXED_INPUT)
        return fixed if fixed is not None else tokens_of(bytes(self.messages))


_decoder = msgspec.json.Decoder(ChatRequest)
_messages = msgspec.json.Decoder(list[Message])


def read(received: Received) -> ChatRequest:
    """Read a request's body.

    Raises:
        BadRequestError: it is not JSON, or a field has the wrong type or range; `param` names the field.
    """
    request = strict.decode(received.body, _decoder, "chat completion")
    if bytes(request.messages) in {b"[]", b"null"}:
        message = "'messages' is empty; send at least one message"
        raise BadRequestError(message, param="messages")
    if request.stream_options is not None and not request.stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise BadRequestError(message, param="stream_options")
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
