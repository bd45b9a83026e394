"""What a caller may ask of `POST /v1/responses`, and the chat completion that the same question would be. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

from gateway.errors import BadRequestError
from gateway.simulate import strict
from gateway.simulate.reply import Asked, Received, encode
from gateway.simulate.wire import ChatRequest, Function, JsonSchema, Probability, ResponseFormat, Temperature, Tool

LOGPROBS = "message.output_text.logprobs"
"""What `include` names to be told log probabilities."""


class ResponseTool(msgspec.Struct):
    """One declared tool; only functions are called, and they are not nested as in chat completions."""

    type: str
    name: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class TextFormat(msgspec.Struct):
    """`text.format`."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class Text(msgspec.Struct):
    """`text`."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(msgspec.Struct):
    """`reasoning`; with a `summary` the reasoning is summed up in the answer."""

    effort: str | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class ResponseRequest(Asked, kw_only=True):
    """The body of a request for a response; items of `input` keep the shape that they came in."""

    input: str | list[dict[str, Any]]
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=16)] | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    include: list[str] | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    background: bool | None = None
    user: str | None = None

    @property
    def items(self) -> list[dict[str, Any]]:
        """Return the input as items."""
        if isinstance(self.input, str):
            return [{"role": "user", "content": self.input}]
        return self.input


_decoder = msgspec.json.Decoder(ResponseRequest)


def read(received: Received) -> ResponseRequest:
    """Read a request.

    Raises:
        BadRequestError: a field is wrong; `param` names it.
    """
    request = strict.decode(received.body, _decoder, "response")
    if not request.items:
        message = "'input' is empty; send a text or at least one item"
        raise BadRequestError(message, param="input")
    if request.background:
        message = "The simulated server makes no responses in the background; leave 'background' out."
        raise BadRequestError(message, param="background")
    for tool in request.tools or []:
        if tool.type == "function" and not tool.name:
            message = "Missing required parameter: 'tools[].name'."
            raise BadRequestError(message, param="tools")
    return request


def as_chat(request: ResponseRequest, before: list[dict[str, Any]]) -> ChatRequest:
    """Return the chat completion that asks the same, after what was said `before`.

    Raises:
        BadRequestError: an item is not one, or a schema is missing.
    """
    said = [{"role": "system", "content": request.instructions}] if request.instructions else []
    messages = [*said, *(_message(item) for item in (*before, *request.items))]
    functions = [tool for tool in request.tools or [] if tool.type == "function"]
    return ChatRequest(
        model=request.model,
        messages=Raw(encode(messages)),
        metadata=request.metadata,
        max_completion_tokens=request.max_output_tokens,
        tools=[_tool(tool) for tool in functions] or None,
        tool_choice=_tool_choice(request),
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=_format(request),
    )


def _message(item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type", "message")
    if kind == "function_call_output":
        return {"role": "tool", "content": item.get("output")}
    if kind != "message":
        return {"role": "assistant", "content": item}
    role, content = item.get("role"), item.get("content")
    if role not in {"user", "assistant", "system", "developer"} or not isinstance(content, str | list):
        message = "A message in 'input' needs 'role' (user, assistant, system, developer) and 'content'."
        raise BadRequestError(message, param="input")
    return {"role": role, "content": content}


def _tool(tool: ResponseTool) -> Tool:
    return Tool(type="function", function=Function(name=tool.name or "", parameters=tool.parameters))


def _tool_choice(request: ResponseRequest) -> str | dict[str, Any] | None:
    choice = request.tool_choice
    return {"type": "function", "function": {"name": choice.get("name")}} if isinstance(choice, dict) else choice


def _format(request: ResponseRequest) -> ResponseFormat | None:
    form = request.text.format if request.text else None
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return ResponseFormat(type="json_object")
    if form.schema is None or not form.name:
        missing = "name" if form.schema is not None else "schema"
        message = f"Missing required parameter: 'text.format.{missing}'."
        raise BadRequestError(message, param=f"text.format.{missing}")
    return ResponseFormat(type="json_schema", json_schema=JsonSchema(name=form.name, schema=form.schema))
